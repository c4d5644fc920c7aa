"""Scores and embeddings that were made elsewhere, brought in line with the artists here."""
