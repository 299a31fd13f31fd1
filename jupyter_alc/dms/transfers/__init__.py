"""Bringing files and folders into the cache on demand: plans, transfers, their history."""
