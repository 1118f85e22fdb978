"""The running operator: watches, work queue, reconciliation, autoscaling loop."""
