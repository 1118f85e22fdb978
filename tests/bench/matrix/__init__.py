"""Policies on all traces, lead times, pods and objectives: `python -m bench.matrix`.

Needs no cluster. What is judged is cost over the clairvoyant's, beside the share of late requests;
baselines are compared at the share that Trireme has, by sweeping their own targets.
"""
