"""Stage 1: files of listens -> the plays of every artist by every listener."""
