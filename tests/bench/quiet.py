"""How busy the computer is with other things: waited for before each measurement, and told with the results."""

from __future__ import annotations

import os
import time
from pathlib import Path


def _ticks() -> tuple[int, int]:
    numbers = [int(word) for word in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    return sum(numbers) - numbers[3] - numbers[4], sum(numbers)


def busy(seconds: float = 0.5) -> float:
    """The share of all cores that is in use, 0 to 1, watched for `seconds`."""
    before = _ticks()
    time.sleep(seconds)
    after = _ticks()
    return (after[0] - before[0]) / max(1, after[1] - before[1])


def calm(share: float = 0.15, patience: float = 20.0) -> float:
    """Wait until less than `share` is in use, at most `patience` seconds; returns the share that was left."""
    until = time.monotonic() + patience
    while (now := busy()) > share and time.monotonic() < until:
        pass
    return round(now, 2)


def computer() -> dict[str, object]:
    """What the figures were measured on."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    model = [
        line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line
    ]
    return {
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(memory / 2**30, 1),
        "processor": model[0] if model else "unknown",
        "kernel": os.uname().release,
        "root": os.geteuid() == 0,
        "busy_at_start": round(busy(2.0), 2),
    }
