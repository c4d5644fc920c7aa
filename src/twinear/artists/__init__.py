"""Who is who, and which clip is whose."""
