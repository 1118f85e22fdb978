"""Which of a server's knobs to turn next, and by how much a pod then serves more. Pure."""
