"""Which artists sound alike, learned from what people listen to."""
