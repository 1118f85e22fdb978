"""Trireme beside other autoscalers, on a real cluster."""
