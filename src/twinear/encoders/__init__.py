"""Pre-trained networks: waveform -> embedding. They write embedding tables."""
