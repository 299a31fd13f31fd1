"""The catalogue's file while it may change: read again when it has, kept as it was while there is a mistake in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jupyter_alc.core.errors import BadFile
from jupyter_alc.dms.catalogue import Catalogue

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class CatalogueFile:
    """One file. `tell` hears each new mistake once, as a line for the operator (T13)."""

    def __init__(self, path: Path, tell: Callable[[str], None]) -> None:
        self.path = path
        self.mistake: BadFile | None = None
        self._tell = tell
        self._good: Catalogue | None = None
        self._seen: tuple[int, int, int] | None = None

    def read(self) -> Catalogue:
        """The catalogue as it is, or was before the mistake that is in it now; `BadFile` where it never was right."""
        seen = seen_of(self.path)
        if seen is None or seen != self._seen:
            self._read_anew()
            self._seen = seen
        if self._good is None:
            assert self.mistake is not None
            raise self.mistake
        return self._good

    def _read_anew(self) -> None:
        try:
            self._good, self.mistake = Catalogue.from_file(self.path), None
        except BadFile as mistake:
            if self.mistake is None or mistake.line != self.mistake.line:
                kept = "The datasets of before are still offered." if self._good else "No dataset is offered."
                self._tell(f"{mistake.line} {kept}")
            self.mistake = mistake


def seen_of(path: Path) -> tuple[int, int, int] | None:
    """What tells that a file has changed; None where it cannot be looked at."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
