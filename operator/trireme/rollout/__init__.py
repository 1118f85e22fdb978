"""Canary rollouts: the steps of one, and the analysis that promotes it or takes it back. Pure."""
