"""The siamese network and its file; nothing about training."""
