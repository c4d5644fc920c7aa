"""The search for vectors by inner product, exact or approximate, behind one protocol."""
