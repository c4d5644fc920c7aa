"""The identity of artists, and the artist of each clip."""
