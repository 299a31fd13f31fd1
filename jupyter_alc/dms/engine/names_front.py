"""The names of a dataset that were used last, in memory: single ones, and whole folders that are small. Pure."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from jupyter_alc.dms.entry import Entry

MOST_SINGLE: Final = 10_000
MOST_IN_FOLDERS: Final = 40_000
SMALL_FOLDER: Final = 20_000


class Known(NamedTuple):
    """What is at a path, None for nothing, and until when that is believed."""

    entry: Entry | None
    until: float


class Folder(NamedTuple):
    """A whole folder in order of name, and until when that is believed."""

    entries: dict[str, Entry]
    until: float


class Front:
    """Bounded; what is dropped here is still in the rows."""

    def __init__(self) -> None:
        self._single: OrderedDict[str, Known] = OrderedDict()
        self._folders: OrderedDict[str, Folder] = OrderedDict()
        self._held = 0

    def get(self, path: str) -> Known | None:
        """What is known of a path by itself or from its folder, believed or not."""
        known = self._single.get(path)
        if known is not None:
            self._single.move_to_end(path)
            return known
        folder, _, name = path.rpartition("/")
        within = self._folders.get(folder)
        return Known(within.entries.get(name), within.until) if within is not None else None

    def keep(self, path: str, entry: Entry | None, until: float) -> None:
        """Keep one name."""
        self._single[path] = Known(entry, until)
        self._single.move_to_end(path)
        if len(self._single) > MOST_SINGLE:
            self._single.popitem(last=False)

    def folder(self, path: str) -> Folder | None:
        """A whole folder, if it is here."""
        return self._folders.get(path)

    def keep_folder(self, path: str, entries: dict[str, Entry], until: float) -> None:
        """Keep a whole folder, unless it is large."""
        self._drop_folder(path)
        if len(entries) > SMALL_FOLDER:
            return
        self._folders[path] = Folder(entries, until)
        self._held += len(entries) + 1
        while self._held > MOST_IN_FOLDERS:
            self._drop_folder(next(iter(self._folders)))

    def drop(self, path: str) -> None:
        """One name is not as it was, and so its folder is not."""
        self._single.pop(path, None)
        self._drop_folder(path.rpartition("/")[0])

    def drop_page(self, folder: str, names: list[str]) -> None:
        """Newer is known of some names of a folder."""
        if self._single:
            within = f"{folder}/" if folder else ""
            for name in names:
                self._single.pop(within + name, None)

    def drop_below(self, path: str) -> None:
        """All in a folder, and the folder."""
        inside = f"{path}/" if path else ""
        self.drop(path)
        for one in [one for one in self._single if one.startswith(inside)]:
            del self._single[one]
        for one in [one for one in self._folders if one == path or one.startswith(inside)]:
            self._drop_folder(one)

    def _drop_folder(self, path: str) -> None:
        gone = self._folders.pop(path, None)
        if gone is not None:
            self._held -= len(gone.entries) + 1
