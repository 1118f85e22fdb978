"""The rules by subject, each a generator of faults named for the violation it finds. Pure."""
