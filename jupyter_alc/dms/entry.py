"""One name in a dataset, as adapters find it and the engine tells it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["file", "directory"]


@dataclass(frozen=True, slots=True)
class Entry:
    """A file or a folder: `size` in bytes, `mtime` in seconds since 1970, `token` opaque (the same: the same bytes).

    `name` is the last part of the path. `writable` is the engine's word; an adapter leaves it alone.
    """

    name: str
    kind: Kind
    size: int
    mtime: float
    token: str
    writable: bool = False

    @property
    def is_folder(self) -> bool:
        """Whether this is a folder."""
        return self.kind == "directory"
