"""What this machine uses now: of its control group where that is limited, else of the processes we can see as ours.

Memory is what the processes hold for themselves (resident without shared pages), in bytes; cores is the processor time
spent since the look before, divided by the time that passed; the first look is the making of `Usage`.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from jupyter_alc.core.clock import Clock, SystemClock


@dataclass(frozen=True, slots=True)
class Sample:
    """Processor seconds spent so far, and bytes held now."""

    cpu_seconds: float
    memory_bytes: int


LEAST_SECONDS: Final = 1.0  # two looks closer than this tell the same cores: a shorter time says nothing


@dataclass(slots=True)
class Usage:
    """Remembers the look before, because cores are a difference between two."""

    clock: Clock = field(default_factory=SystemClock)
    proc: Path = Path("/proc")
    group: Path = Path("/sys/fs/cgroup")
    _before: tuple[float, float] = field(init=False)
    _cores: float | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self._before = self.clock.monotonic(), self._sample().cpu_seconds

    def now(self) -> dict[str, Any]:
        """`{"cores", "memory_bytes"}`; everybody who asks within a second is told the same cores."""
        sample, at = self._sample(), self.clock.monotonic()
        passed = at - self._before[0]
        if passed > 0 and (self._cores is None or passed >= LEAST_SECONDS):
            self._cores = max(0.0, sample.cpu_seconds - self._before[1]) / passed
            self._before = at, sample.cpu_seconds
        return {"cores": round(self._cores or 0.0, 2), "memory_bytes": sample.memory_bytes}

    def _sample(self) -> Sample:
        return group_sample(self.group) or process_sample(self.proc, os.getuid())


def group_sample(group: Path) -> Sample | None:
    """Read a version 2 control group that has a memory limit; None where there is none."""
    try:
        if not (group / "memory.max").read_text().strip().isdigit():
            return None
        spent = dict(line.split() for line in (group / "cpu.stat").read_text().splitlines())
        return Sample(int(spent["usage_usec"]) / 1e6, int((group / "memory.current").read_text()))
    except (OSError, ValueError, KeyError):
        return None


def process_sample(proc: Path, uid: int) -> Sample:
    """Add up the processes of `uid` that are to be seen."""
    tick, page = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")
    ticks = pages = 0
    for one in proc.iterdir():
        if not one.name.isdigit():
            continue
        try:
            if one.stat().st_uid != uid:
                continue
            after_name = (one / "stat").read_text().rpartition(")")[2].split()
            _, resident, shared, *_ = map(int, (one / "statm").read_text().split())
        except (OSError, ValueError):  # it ended while we looked
            continue
        ticks += int(after_name[11]) + int(after_name[12])
        pages += max(0, resident - shared)
    return Sample(ticks / tick, pages * page)
