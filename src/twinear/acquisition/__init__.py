"""Everything that writes `data/`: imports, downloads, previews, the bundled sample."""
