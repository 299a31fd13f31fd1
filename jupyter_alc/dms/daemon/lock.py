"""One daemon per volume: the kernel's lock on a file, which ends with its process however that ends."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from jupyter_alc.core.errors import Conflict, Denied, NoSpace
from jupyter_alc.core.full_disk import is_full_disk
from jupyter_alc.dms.owning import own

if TYPE_CHECKING:
    from pathlib import Path

NAME: Final = "daemon.lock"


class AnotherDaemon(Conflict):
    """Somebody else serves this volume."""


class VolumeLock:
    """Held from `take` until the process ends."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    @classmethod
    def take(cls, volume: Path, user: str, owner: tuple[int, int] | None = None) -> VolumeLock:
        """Lock `volume` with a file given to `owner`; `AnotherDaemon` names the process that has it."""
        try:
            descriptor = os.open(volume / NAME, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            if owner is not None:
                os.fchown(descriptor, *owner)
        except OSError as error:
            kind = NoSpace if is_full_disk(error) else Denied
            raise kind(
                f"The data volume {volume} cannot be written: {error.strerror}.",
                next_step="Make it a folder of the data service with free space.",
            ) from error
        own(
            descriptor,
            lambda pid: AnotherDaemon(
                f"Another data service (pid {pid}) already serves {user}'s data on {volume}.",
                next_step="Use that one; its socket answers. To start anew, end it first.",
            ),
        )
        return cls(descriptor)
