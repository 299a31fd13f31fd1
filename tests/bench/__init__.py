"""Measured figures: `make bench` writes build/bench/results.json and prints a table. Nothing here passes or fails."""
