"""The end of a cluster, whoever brings it about: nothing left running, no secret left lying, record and logs kept."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from jupyter_alc.core.errors import Unavailable
from jupyter_alc.core.states import ClusterState
from jupyter_alc.piezo import processes
from jupyter_alc.piezo.record import ClusterRecord, Ending, note_record, read_record

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jupyter_alc.core.clock import Clock

NEVER_STARTED_SECONDS: Final = 30.0
KEPT_SECONDS: Final = 7 * 86400.0
_LOCK: Final = "lock"
_KILL_SECONDS: Final = 15.0


@contextlib.contextmanager
def hold(folder: Path, wait_seconds: float = 0.0) -> Iterator[bool]:
    """Hold the cluster's lock, as its supervisor does for life and the sweep for a moment; gives whether we got it.

    The operating system gives it back when the holder dies, so a free lock means: no supervisor.
    """
    descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        yield _got(descriptor, time.monotonic() + wait_seconds)
    finally:
        os.close(descriptor)


def _got(descriptor: int, until: float) -> bool:
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= until:
                return False
            time.sleep(0.05)
        else:
            return True


def clear(folder: Path) -> None:
    """End every process with the cluster's mark, look that none is left, remove secrets and scratch.

    Raises `Unavailable` when a process does not end; call again.
    """
    until = time.monotonic() + _KILL_SECONDS
    while left := processes.marked(folder):
        processes.kill(left)
        if time.monotonic() > until:
            raise Unavailable(
                f"{len(left)} processes of the cluster do not end.", next_step="It is tried again by itself."
            )
        time.sleep(0.1)
    for name in ("conf", "scratch"):
        shutil.rmtree(folder / name, ignore_errors=True)


def sweep(folder: Path, clock: Clock) -> ClusterRecord | None:
    """Bring a cluster without supervisor to its end; returns its record as it is afterwards, None where there is none.

    A cluster whose supervisor lives, or may still come, is left alone. A record older than it is kept is removed.
    """
    record = read_record(folder)
    if record is None or (
        record.state is ClusterState.ASKED and record.age_seconds(clock.now()) < NEVER_STARTED_SECONDS
    ):
        return record
    if record.state is ClusterState.GONE:
        if record.gone_seconds(clock.now()) > KEPT_SECONDS:
            shutil.rmtree(folder, ignore_errors=True)
            return None
        return record
    with hold(folder) as ours:
        record = read_record(folder)
        if ours and record is not None and record.state is not ClusterState.GONE:
            record = _finish(folder, record, clock)
    return record


def _finish(folder: Path, record: ClusterRecord, clock: Clock) -> ClusterRecord:
    died = Unavailable("The cluster's supervisor ended unexpectedly.", next_step="Start a cluster again.")
    side = {
        ClusterState.STARTING: (ClusterState.FAILED, Ending.FAILED),
        ClusterState.READY: (ClusterState.LOST, Ending.LOST),
    }
    if record.state in side:
        state, ending = side[record.state]
        record = record.broken(died).moved(state, clock.now(), ending=ending)
        note_record(folder, record)
    if record.state in {ClusterState.FAILED, ClusterState.LOST}:
        record = record.moved(ClusterState.STOPPING, clock.now())
        note_record(folder, record)
    try:
        clear(folder)
    except Unavailable as problem:
        return record.waiting(problem.sentence)
    if record.state is ClusterState.ASKED:
        never = Unavailable("The cluster's supervisor did not start.", next_step="Start a cluster again.")
        record = record.broken(never).moved(ClusterState.GONE, clock.now(), ending=Ending.NEVER_STARTED)
    else:
        record = record.moved(ClusterState.GONE, clock.now())
    note_record(folder, record)
    Path(record.socket).unlink(missing_ok=True)
    return record
