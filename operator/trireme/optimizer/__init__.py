"""The optimiser: a model made cheaper to run, and shown to answer as before.

The only package that imports torch (the extra `optimizer`). It runs at a desk or in a Job of its
own, never in the operator's process: to load a model can be to run its code.
"""

import os

os.environ["ORT_DISABLE_TELEMETRY"] = "1"
"""Before onnxruntime is imported, here and in processes that this one starts: from 1.29 on it sends
its makers names and hashes of the graphs that it loads (Privacy.md in its package).
"""
