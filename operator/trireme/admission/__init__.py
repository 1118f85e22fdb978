"""Rules across fields, and what each Triton release understands. Pure: a spec in, faults out."""
