"""Processes, the memory limit, compiled functions: no result depends on them."""
