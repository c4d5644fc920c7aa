"""What is asked of a scorer and of a catalogue."""
