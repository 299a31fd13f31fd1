"""Where the bytes of a file are (S5). Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from jupyter_alc.core.states import FileState
    from jupyter_alc.dms.entry import Entry

CACHED: Final = "cached"
PARTLY: Final = "partly"
ARCHIVE: Final = "archive"
FOLDER: Final = "folder"
PLACES: Final = (CACHED, PARTLY, ARCHIVE, FOLDER)
"""The states of a name that is not unsent."""


@dataclass(frozen=True, slots=True)
class Placed:
    """One name of a folder, and where it is: one of `PLACES`, or the way of an unsent file to the archive."""

    entry: Entry
    state: str
    cached_bytes: int

    def as_json(self) -> dict[str, Any]:
        """What `GET /v1/files` adds to the form of `GET /v1/ls`."""
        return {"state": self.state, "cached_bytes": self.cached_bytes}


@dataclass(frozen=True, slots=True)
class PlacedPart:
    """Some names of a folder, as `jupyter_alc.dms.engine.folders.Part` has them, and where they are."""

    entries: list[Placed]
    after: str | None
    coming: bool


def placed(entry: Entry, held_bytes: int, unsent: FileState | None = None) -> Placed:
    """Where `entry` is, when `held_bytes` of it are in the cache; an unsent file is here as a whole."""
    if entry.is_folder:
        return Placed(entry, FOLDER, 0)
    if unsent is not None:
        return Placed(entry, str(unsent), entry.size)
    if held_bytes >= entry.size:
        return Placed(entry, CACHED, entry.size)
    return Placed(entry, PARTLY if held_bytes else ARCHIVE, held_bytes)
