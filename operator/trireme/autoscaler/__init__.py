"""The scaling decision: observation, policy, memory in; decision, memory out.

Pure: no I/O, no clock, no globals; the same functions run in the operator and in a simulator.
"""
