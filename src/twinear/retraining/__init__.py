"""Retraining as a machine may do it: new data are checked first, and only a winner is promoted."""
