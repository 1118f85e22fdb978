"""Other autoscalers, each true to its own source: what Trireme is measured against.

Pure. One file a policy, which names where its rules were read.
"""
