"""One name in a dataset, as adapters find it and the engine tells it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["file", "directory", "link"]
"""A link only to kernels: the engine tells what it leads to, and a `target`."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A file or a folder: `size` in bytes, `mtime` in seconds since 1970, `token` opaque (the same: the same bytes).

    `name` is the last part of the path. `writable` is the engine's word; an adapter leaves it alone.
    So is `number`: that of the name and version in the engine's table of names, 0 where it is in none. In a view (N18)
    the engine tells a link as what it leads to, with its real path `dataset/path` as `target`; `view` marks folders.
    """

    name: str
    kind: Kind
    size: int
    mtime: float
    token: str
    writable: bool = False
    number: int = field(default=0, compare=False)
    target: str = ""
    view: bool = False

    @property
    def is_folder(self) -> bool:
        """Whether this is a folder."""
        return self.kind == "directory"
