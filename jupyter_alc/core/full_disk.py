"""A disk, or a quota, that takes no more: recognised in one place, told in one sentence."""

from __future__ import annotations

import errno
from typing import Final

from jupyter_alc.core.errors import NoSpace

_NUMBERS: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_SQLITE: Final = frozenset({13, 4874})  # SQLITE_FULL; SQLITE_IOERR_SHMSIZE: no room for the memory it shares


def is_full_disk(error: BaseException | None) -> bool:
    """Whether the system, or SQLite, says with `error` that the disk takes no more."""
    if isinstance(error, OSError):
        return error.errno in _NUMBERS
    return getattr(error, "sqlite_errorcode", None) in _SQLITE


def disk_is_full(whose: str) -> NoSpace:
    """What a person is told when the disk of a service of ours is full."""
    return NoSpace(
        f"The disk of {whose} is full, so nothing was changed.",
        next_step="Try again in a while; the operator has to make room there.",
    )
