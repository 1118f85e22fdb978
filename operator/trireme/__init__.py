"""Trireme: agents on Triton that keep their latency objective at the lowest cost."""

from importlib.metadata import version

__version__ = version("trireme")
