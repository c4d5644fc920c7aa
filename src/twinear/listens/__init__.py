"""Stage 1: raw listens -> who played whom, cleaned and counted."""
