"""Real archives for tests and measures, each by `python -m labs.<name> up|down|status DIR` or as a context manager."""
