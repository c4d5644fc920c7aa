"""The preview services, MusicBrainz, and how an artist is matched to theirs."""
