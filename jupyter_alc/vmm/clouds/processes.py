"""Which process is which: a pid alone may have been given to another, so the start time goes with it."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class ProcessId:
    """One process for all time: its pid and its start (clock ticks after boot)."""

    pid: int
    started: int

    @classmethod
    def of(cls, pid: int) -> ProcessId | None:
        """Return the process that has `pid` now; None when there is none, or only a zombie."""
        state, started = _stat(pid)
        return cls(pid, started) if state not in {"", "Z", "X"} else None

    def alive(self) -> bool:
        """Say whether exactly this process still runs."""
        return ProcessId.of(self.pid) == self

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Signal it; fine when it has ended."""
        if self.alive():
            try:
                os.kill(self.pid, number)
            except ProcessLookupError:
                return

    def wait_gone(self, deadline_seconds: float) -> bool:
        """Wait until it has ended; say whether it has."""
        until = time.monotonic() + deadline_seconds
        while self.alive():
            if time.monotonic() > until:
                return False
            time.sleep(0.02)
        return True


def _stat(pid: int) -> tuple[str, int]:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (OSError, UnicodeDecodeError):
        return "", 0
    fields = text.rpartition(")")[2].split()
    return fields[0], int(fields[19])


def with_environment(entry: str) -> list[ProcessId]:
    """Every process of ours started with `NAME=value` in its environment: how a tree without a namespace is found."""
    wanted, found = entry.encode(), []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            started_with = (folder / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        process = ProcessId.of(int(folder.name)) if wanted in started_with else None
        if process and process.pid != os.getpid():
            found.append(process)
    return found
