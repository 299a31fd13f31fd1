"""The engine: names, cached reads, staged writes and their way back to the archive."""
