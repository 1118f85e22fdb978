"""Benchmarks on the local cluster: `make bench`. Each prints a table for docs/benchmarks.md.

What is measured stands beside a limit or a peer of the same run, since this machine's own speed is
nobody else's.
"""
