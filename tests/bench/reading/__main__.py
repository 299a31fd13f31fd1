"""Read through our mount and its peers', from Ceph through a counting proxy; build/bench/reading.json, .md and .svg.

make bench PART=reading                         all of it, 5 runs
make bench PART=reading RUNS=2
make bench PART=reading PUBLISH=1               and put tables and picture into docs/results.md
PYTHONPATH=tests build/env/host/bin/python -m bench.reading --only stream --only names --runs 3
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.quiet import computer
from bench.reading import ceiling, tables, turns
from bench.reading.clients import lacking
from bench.reading.plant import TINY, Sizes
from bench.reading.plot import draw
from bench.reading.rows import ROWS
from day.report import NotTrue
from day.system import CHECKOUT
from labs.ceph import Ceph

PLACE = CHECKOUT / "build/bench"
RESULTS_PAGE = CHECKOUT / "docs/results.md"
PICTURE = CHECKOUT / "docs/img/reading.svg"
KINDS = list(dict.fromkeys(row.kind for row in ROWS))


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument(
        "--only", action="append", choices=KINDS, default=[], help="these; the others stay as they are"
    )
    options.add_argument("--runs", type=int, default=5, help="how often (default 5)")
    options.add_argument("--tiny", action="store_true", help="small sizes: to see that it works, not to measure")
    options.add_argument("--publish", action="store_true", help="put tables and picture into docs/results.md")
    options.add_argument("--lab", type=Path, help="a folder where the store stays up for the next time")
    chosen = options.parse_args()
    if (why := Ceph.lacking()) or (missing := lacking()):
        sys.stderr.write(f"{why or f'These programs are missing: {chr(32).join(missing)}; run .ci/debian peers'}\n")
        return 1
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # what was mounted and started is taken away
    PLACE.mkdir(parents=True, exist_ok=True)
    file = PLACE / ("reading-tiny.json" if chosen.tiny else "reading.json")
    before = json.loads(file.read_text())["rows"] if chosen.only and file.exists() else {}
    told = measure(chosen.only or KINDS, chosen.runs, TINY if chosen.tiny else Sizes(), before, chosen.lab)
    file.write_text(json.dumps(told, indent=1) + "\n")
    write(told, file.with_suffix(".md"), file.with_suffix(".svg"))
    if chosen.publish:
        PICTURE.parent.mkdir(exist_ok=True)
        draw(told["rows"], PICTURE)
        tables.put_into(RESULTS_PAGE, tables.page(told))
    sys.stdout.write(f"\n{tables.page(told)}\n\nall figures: {file}\n")
    return 1 if told["failed"] else 0


def measure(kinds: list[str], runs: int, sizes: Sizes, before: dict[str, Any], kept: Path | None) -> dict[str, Any]:
    """All rows of these kinds, in a place that is gone afterwards, or on a store that is kept."""
    since, where = time.monotonic(), computer()
    place = kept or Path(tempfile.mkdtemp(prefix="bench-reading-", dir="/var/tmp"))
    place.mkdir(exist_ok=True)
    place.chmod(0o755)
    lab = Ceph(place / "ceph")
    try:
        known = (lab.place / "planted").exists() and lab.status()["answers"]  # goes with the store
        if not known:
            shutil.rmtree(place / "source", ignore_errors=True)
        lab.up()
        ground = turns.Ground(lab, place / "source", place, sizes) if known else turns.prepare(lab, place, sizes)
        (lab.place / "planted").touch()
        _say(f"planted after {time.monotonic() - since:.0f} s")
        rows, failed = dict(before), dict[str, str]()
        for row in (one for one in ROWS if one.kind in kinds):
            try:
                rows[row.name] = turns.measure(ground, row, runs, _say)
            except (NotTrue, OSError, subprocess.SubprocessError) as error:  # the other rows are worth having
                failed[row.name] = str(error)
                _say(f"{row.name:24} FAILED: {error}")
    finally:
        if kept is None:
            lab.down()
            shutil.rmtree(place)
    return {
        "when": datetime.now(UTC).date().isoformat(),
        "runs": runs,
        "minutes": round((time.monotonic() - since) / 60),
        "computer": where,
        "versions": ", ".join(_versions()),
        "proxy": ceiling.measure(),
        "rows": rows,
        "failed": failed,
    }


def write(told: dict[str, Any], text: Path, picture: Path) -> None:
    """Keep tables and picture beside the figures."""
    text.write_text(tables.page(told) + "\n")
    draw(told["rows"], picture)


def _versions() -> list[str]:
    asked = {"rclone": ["rclone", "version"], "s3fs": ["s3fs", "--version"], "bindfs": ["bindfs", "--version"]}
    asked |= {"Ceph": ["radosgw", "--version"], "fio": ["fio", "--version"]}
    found = {name: re.search(r"\d+(\.\d+)+", _output(command)) for name, command in asked.items()}
    return [f"{name} {number[0]}" for name, number in found.items() if number]


def _output(command: list[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
