"""One owner for a file: the kernel's lock on it, which ends with its process however that ends."""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from jupyter_alc.core.errors import AlcError


def own(descriptor: int, refused: Callable[[str], AlcError]) -> None:
    """Lock the open file `descriptor` for this process until it is closed, and write our id into it.

    When somebody else has it, closes the descriptor and raises what `refused` makes of their id, "unknown" without one.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as held:
        owner = os.pread(descriptor, 20, 0).decode(errors="replace").strip() or "unknown"
        os.close(descriptor)
        raise refused(owner) from held
    with suppress(OSError):  # on a full disk nobody is told our id
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
