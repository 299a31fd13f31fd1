"""Measure, print a table, and write build/bench/results.json. A figure is never too slow here; only what breaks fails.

make bench                                     everything but `make demo` itself
PYTHONPATH=tests build/env/host/bin/python -m bench --only spawn --rounds 5
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import clusters, demo, memory, mount, moved, spawns
from bench.figures import table
from bench.quiet import computer
from day.system import CHECKOUT

if TYPE_CHECKING:
    from collections.abc import Callable

PLACE = CHECKOUT / "build/bench"
MEASURES: dict[str, Callable[[int, Path], dict[str, Any]]] = {
    "spawn": spawns.measure,
    "piezo": clusters.measure,
    "moved": moved.measure,
    "mount": mount.measure,
    "memory": memory.measure,
}


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--only", action="append", choices=list(MEASURES), default=[], help="measure just this")
    options.add_argument("--rounds", type=int, default=5, help="how often, where a figure has a spread (default 5)")
    options.add_argument("--demo", action="store_true", help="run `make demo` twice in a clone with nothing cached")
    options.add_argument("--demo-cold", type=Path, help="a report of `make demo`, the first of a clone")
    options.add_argument("--demo-warm", type=Path, help="a report of `make demo`, run again")
    chosen = options.parse_args()
    PLACE.mkdir(parents=True, exist_ok=True)
    file = PLACE / "results.json"
    results: dict[str, Any] = json.loads(file.read_text()) if chosen.only and file.exists() else {}
    for name in chosen.only or list(MEASURES):
        where = computer()
        began = time.monotonic()
        told = MEASURES[name](chosen.rounds, PLACE / "pictures")
        results[name] = {**told, "computer": where, "measured_in_seconds": round(time.monotonic() - began)}
        _write(file, results)
        sys.stdout.write(table({name: told}) + "\n\n")
        sys.stdout.flush()
    for name, report in (("cold", chosen.demo_cold), ("warm", chosen.demo_warm)):
        if report is not None:
            results.setdefault("demo", {}).update(demo.read(name, report))
    if chosen.demo:
        results["demo"] = demo.run_twice(PLACE)
    _write(file, results)
    sys.stdout.write(f"all figures: {file}\n")
    return 0


def _write(file: Path, results: dict[str, Any]) -> None:
    file.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
