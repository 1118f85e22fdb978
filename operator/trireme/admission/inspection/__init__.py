"""What model files say of themselves, read without running them. Pure.

A hostile file costs a bounded number of bytes, of steps and of memory, and runs nothing.
"""
