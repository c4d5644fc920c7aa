"""Pairs of similar artists, as services know them, to evaluate by."""
