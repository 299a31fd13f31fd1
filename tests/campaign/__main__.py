"""Run a campaign and print its figures, one JSON object a line; ends with 1 if anything went wrong."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from campaign import cache

_ALL = {"cache": (cache.kills, cache.flips)}


def main() -> int:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(prog="campaign", description=__doc__)
    parser.add_argument("name", choices=sorted(_ALL))
    parser.add_argument("--points", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    right = True
    for one in _ALL[asked.name]:
        with tempfile.TemporaryDirectory(prefix="alc-c-") as place:
            figures = one(Path(place), asked.points, asked.seed)
        print(f"{asked.name} {one.__name__}: {figures}", flush=True)
        right = right and figures.right
    return 0 if right else 1


sys.exit(main())
