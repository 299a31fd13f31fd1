"""Which small files to have ahead for somebody who opens a folder's one after the other (R10). Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from jupyter_alc.core.dataset import Pattern

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

IN_A_ROW: Final = 3
FIRST_BATCH: Final = 8
MOST_FILES: Final = 64
MOST_BYTES: Final = 8 * 1024 * 1024
MOST_NAMES: Final = 20_000  # in a larger folder the order alone would take longer than a request
_FOLDERS: Final = 16


class _Walk:
    """One folder: its names in order, where its reader is, and up to where files are here or on their way."""

    __slots__ = ("at", "batch", "names", "reached", "row", "seen")

    def __init__(self, names: list[str], seen: tuple[int, int]) -> None:
        self.names, self.seen = names, seen
        self.at = self.reached = -1
        self.row, self.batch = 0, FIRST_BATCH


class Siblings:
    """The folders somebody opened small files in lately, a few of them; `in_a_row` files opened are a walk."""

    def __init__(self, in_a_row: int = IN_A_ROW) -> None:
        self._in_a_row = in_a_row
        self._walks: OrderedDict[str, _Walk] = OrderedDict()

    def opened(
        self, folder: str, name: str, names: Collection[str] | None, small: Callable[[str], int | None]
    ) -> list[str]:
        """The names to have ahead now that small file `name` was opened; mostly none.

        `names` are all of the folder's, None while they are not known; `small` says a name's size in bytes where it
        is a file of at most 256 KiB, else None.
        """
        walk = self._walk(folder, names)
        if walk is None:
            return []
        at = bisect_left(walk.names, name)
        if at == walk.at:
            return []
        follows = walk.at < at <= max(walk.reached, _next(walk.names, walk.at, small))
        walk.row = walk.row + 1 if follows else 1
        if not follows:
            walk.batch, walk.reached = FIRST_BATCH, at
        walk.at, walk.reached = at, max(walk.reached, at)
        if walk.row < self._in_a_row or walk.reached - at > walk.batch // 2:
            return []
        return _ahead(walk, small)

    def _walk(self, folder: str, names: Collection[str] | None) -> _Walk | None:
        if names is None or len(names) > MOST_NAMES:
            return None
        seen = (id(names), len(names))
        walk = self._walks.get(folder)
        if walk is None:
            walk = self._walks[folder] = _Walk(sorted(names), seen)
            if len(self._walks) > _FOLDERS:
                self._walks.popitem(last=False)
        elif walk.seen != seen:  # a listing made anew: the reader goes on where she was
            at = walk.names[walk.at] if walk.at >= 0 else ""
            reached = walk.names[walk.reached] if walk.reached >= 0 else ""
            walk.names, walk.seen = sorted(names), seen
            walk.at, walk.reached = bisect_left(walk.names, at), bisect_left(walk.names, reached)
        self._walks.move_to_end(folder)
        return walk


def siblings_for(pattern: Pattern) -> Siblings:
    """What a dataset's pattern wants: the first small file opened is a walk already, or the third (T12)."""
    return Siblings(1) if pattern is Pattern.SIBLINGS else Siblings()


def _next(names: list[str], at: int, small: Callable[[str], int | None]) -> int:
    """The place of the first small file after `at`, looking a little further than folders and large files between."""
    if at < 0:
        return -1
    for place in range(at + 1, min(at + 1 + FIRST_BATCH, len(names))):
        if small(names[place]) is not None:
            return place
    return at


def _ahead(walk: _Walk, small: Callable[[str], int | None]) -> list[str]:
    taken: list[str] = []
    room = MOST_BYTES
    for name in walk.names[walk.reached + 1 :]:
        size = small(name)
        if size is not None:
            if len(taken) == walk.batch or size > room:
                break
            taken.append(name)
            room -= size
        walk.reached += 1
    walk.batch = min(2 * walk.batch, MOST_FILES)
    return taken
