"""Campaigns: seeded faults by the hundred. `PYTHONPATH=tests python -m campaign <name> --points N --seed S`."""
