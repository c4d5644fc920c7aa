"""Retraining without supervision: new data are checked, and only a better scorer is promoted."""
