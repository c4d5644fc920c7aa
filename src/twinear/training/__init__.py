"""Stage 6: spectrograms, similarity and a split -> a trained scorer."""
