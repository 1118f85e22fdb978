"""From an accepted agent and its repository to Kubernetes objects, as plain dicts. Pure."""
