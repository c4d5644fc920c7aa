"""What surrounds the package: how it is served, and what an install consists of."""
