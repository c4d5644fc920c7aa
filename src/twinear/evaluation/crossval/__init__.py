"""Training and judging in artist-disjoint folds: every artist is new to somebody once."""
