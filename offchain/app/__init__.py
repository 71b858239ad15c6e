"""Wires the processes: the only package that chooses adapters."""
