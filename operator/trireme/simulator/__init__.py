"""Trireme's policy and others on recorded traffic, in virtual time."""
