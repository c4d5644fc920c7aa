"""What is asked of a catalogue: similar artists and clips, reasons, playlists."""
