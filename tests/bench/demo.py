"""Cold and warm time of `make demo`, of a clone with nothing cached; also read from files of an earlier measurement."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from day.report import require
from day.system import CHECKOUT


def run_twice(place: Path) -> dict[str, Any]:
    """Clone what is committed, run `make demo` there twice, and keep both reports in `place`."""
    clone = Path(tempfile.mkdtemp(prefix="bench-demo-"))
    clone.chmod(0o755)
    told: dict[str, Any] = {}
    try:
        subprocess.run(["git", "clone", "-q", str(CHECKOUT), str(clone / "main")], check=True)
        for name in ("cold", "warm"):
            began = time.monotonic()
            with (place / f"demo-{name}.log").open("w") as log:
                done = subprocess.run(
                    ["make", "demo"],
                    cwd=clone / "main",
                    env={**os.environ, "ALC_CACHE": str(clone / "cache")},
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    check=False,
                )
            report = json.loads((clone / "main/build/demo/report.json").read_text())
            kept = {"seconds": round(time.monotonic() - began, 1), **report}
            (place / f"demo-{name}.json").write_text(json.dumps(kept, indent=1) + "\n")
            require(done.returncode == 0, f"make demo ended with {done.returncode}: see {place}/demo-{name}.log")
            told |= read(name, place / f"demo-{name}.json")
    finally:
        shutil.rmtree(clone)
    return told


def read(name: str, file: Path) -> dict[str, Any]:
    """The figures of one run: all seconds where they were kept, and those of the day's steps, from its report."""
    report = json.loads(file.read_text())
    steps = round(sum(step["seconds"] for step in report["steps"]), 1)
    return {name: {"seconds": report.get("seconds", "not kept"), "of these the day's steps": steps, "ok": report["ok"]}}
