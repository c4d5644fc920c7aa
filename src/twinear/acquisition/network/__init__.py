"""HTTP clients: rate limits, retries, deadlines, cached responses, resumable downloads."""
