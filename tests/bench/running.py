"""One instance of ours for one measure, below a folder that goes with it."""

from __future__ import annotations

import shutil
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from day.report import require
from day.system import System

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def instance() -> Iterator[System]:
    """Start it and wait until its pools are full; nothing of it is left afterwards."""
    place = Path(tempfile.mkdtemp(prefix="bench-"))
    place.chmod(0o755)
    system = System(place / "state")
    try:
        system.start()
        wait_for_pools(system)
        yield system
    finally:
        system.stop()
        shutil.rmtree(place)


def wait_for_pools(system: System, seconds: float = 180) -> None:
    """Wait until a machine of each type is ready."""
    until = time.monotonic() + seconds
    while {one["type"] for one in system.machines() if one["state"] == "ready"} != {"small", "large"}:
        require(time.monotonic() < until, f"the pools did not fill: {system.machines()}")
        time.sleep(0.3)


def wait_until_nothing_is_held(system: System, user: str, seconds: float = 120) -> None:
    """Wait until this person has no machine."""
    until = time.monotonic() + seconds
    while any(one["state"] not in ("released", "refused") for one in system.allocations(user)):
        require(time.monotonic() < until, f"{user} still has a machine: {system.allocations(user)}")
        time.sleep(0.3)
