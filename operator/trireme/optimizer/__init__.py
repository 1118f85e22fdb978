"""The optimiser: a model made cheaper to run, and shown to answer as before.

The only package that imports torch (the extra `optimizer`). It runs at a desk or in a Job of its
own, never in the operator's process: to load a model can be to run its code.
"""
