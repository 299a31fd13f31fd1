"""Piezo: a Spark cluster of one's own, made, watched and ended. Importing this brings in nothing heavy."""
