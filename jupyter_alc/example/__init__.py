"""The example that everything is shown and tested with: a facility's archive, its data and one analysis."""
