"""Whose process it is: the POSIX session of a pid, as /proc tells everybody (S3)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from jupyter_alc.dms.engine.accounts import NOBODY, Opener

_PROC: Final = Path("/proc")
_SESSION, _STARTED = 3, 19  # fields 6 and 22 of stat, counted after the name


def opener_of(pid: int, proc: Path = _PROC) -> Opener:
    """The session that `pid` belongs to; `NOBODY` where that cannot be known. A kernel is its own session's leader."""
    told = _stat(proc, pid) if pid > 0 else None
    if told is None:
        return NOBODY
    sid = int(told[1][_SESSION])
    leader = told if sid == pid else _stat(proc, sid)
    if leader is None:  # its leader has ended; the others go on under its id
        return Opener(sid)
    return Opener(sid, int(leader[1][_STARTED]), leader[0])


def _stat(proc: Path, pid: int) -> tuple[str, list[str]] | None:
    """The name of a process, and what stands after it in its stat."""
    try:
        descriptor = os.open(f"{proc}/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        text = os.read(descriptor, 4096).decode("utf-8", "replace")
    except OSError:
        return None
    finally:
        os.close(descriptor)
    name, _, rest = text.partition("(")[2].rpartition(")")
    fields = rest.split()
    return (name, fields) if len(fields) > _STARTED else None
