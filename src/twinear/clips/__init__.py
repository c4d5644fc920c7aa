"""Stage 3: which audio is usable, and how a file becomes a waveform."""
