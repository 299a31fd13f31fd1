"""One written file that is not yet in the archive."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from jupyter_alc.dms.entry import Entry

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from jupyter_alc.core.states import FileState


@dataclass(slots=True, eq=False)
class StagedFile:
    """One written file. `base` is the archive's version it replaces, None where there was none.

    `changes` counts writes, `durable` is the count that the disk and the row hold. `gone`: sent, or removed.
    `offered` has the checksums of what was to be published: if the archive has one of them, it is our own.
    `users` have it open, `writers` of them for writing, `holds` are changes of its name: neither is sent meanwhile.
    """

    id: str
    dataset: str
    path: str
    state: FileState
    size: int
    base: str | None
    changed: float
    data: Path
    descriptor: int
    tries: int = 0
    problem: dict[str, str] | None = None
    offered: str = ""
    changes: int = 0
    durable: int = 0
    synced: bool = True
    users: int = 0
    writers: int = 0
    holds: int = 0
    gone: bool = False
    due: float = 0.0
    sent: int = 0
    attempted: bool = False
    token_salt: int = field(default=0)

    @property
    def token(self) -> str:
        """The version that readers here see; each write makes another."""
        return f'"staged-{self.id}-{self.token_salt}-{self.changes}"'

    @property
    def entry(self) -> Entry:
        """It as a name."""
        return Entry(self.path.rpartition("/")[2], "file", self.size, self.changed, self.token)

    @property
    def may_be_there(self) -> bool:
        """Whether the archive may have a file at its path: what it replaces, or itself if an answer was lost."""
        return self.base is not None or bool(self.offered)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep it from being sent for a while."""
        self.holds += 1
        try:
            yield
        finally:
            self.holds -= 1

    def read(self, start: int, stop: int) -> bytes:
        """The bytes, fewer at the end. Any thread."""
        stop = min(stop, self.size)
        return os.pread(self.descriptor, stop - start, start) if start < stop else b""
