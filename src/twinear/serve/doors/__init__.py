"""Protocols that music players speak already."""
