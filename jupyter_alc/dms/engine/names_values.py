"""What rows of names are made of, and what they tell. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from jupyter_alc.core.errors import FileNotThere, NotFolder
from jupyter_alc.dms.adapters.interface import HIDDEN
from jupyter_alc.dms.entry import Entry

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jupyter_alc.dms.entry import Kind

VERSION_SHIFT: Final = 40
_LINK: Final = 1 << 61  # marks numbers of links in views, above all versions that a file will have
_VIEW_SHIFT: Final = 48
ABSENT: Final = 0
KINDS: Final[dict[str, int]] = {"file": 1, "directory": 2}
NAMED: Final[dict[int, Kind]] = {1: "file", 2: "directory"}
ENTRY: Final = "json_array(id, version, name, kind, size, mtime, token)"
WITHIN: Final = "tree = ? AND (path = ? OR (path > ? AND path < ?))"
LONGEST_NAME_BYTES: Final = 255
LARGEST: Final = (1 << 63) - 1
_LATEST: Final = 9e9  # a signed 64-bit number of nanoseconds ends in 2262
_ODD: Final = "\x01"


class Look(NamedTuple):
    """What is known of one path. `known`: there is a row; its `entry` is None for an absence.

    `listed`: its folder was listed once, and what has no row is not in it; `listed_until`: believed so long.
    """

    known: bool
    entry: Entry | None
    until: float
    listed: bool
    listed_until: float


class Listed(NamedTuple):
    """A listing of a folder, by its number. `again`: the folder was listed before, so what has no row is new."""

    number: int
    again: bool


class Noted(NamedTuple):
    """Entries after they were noted: what this listing had not told yet, their rows, and names not as known before."""

    entries: list[Entry]
    ids: list[int]
    changed: list[str]


@dataclass(frozen=True, slots=True)
class Row:
    """Where a number leads: a path of the tree of that key, and what is there."""

    tree: str
    path: str
    entry: Entry


def joined(one: Noted, other: Noted) -> Noted:
    """Both."""
    return Noted([*one.entries, *other.entries], [*one.ids, *other.ids], [*one.changed, *other.changed])


def split(path: str) -> tuple[str, str]:
    """The folder and the last name of `path`."""
    folder, _, name = path.rpartition("/")
    return folder, name


def within(tree: int, path: str) -> tuple[int, str, str, str]:
    """What `WITHIN` asks for: a folder and all below it."""
    return (tree, path, f"{path}/", f"{path}0") if path else (tree, "", "", chr(0x10FFFF))


def told(row: Sequence[Any]) -> Entry:
    """An entry from the columns of `ENTRY`."""
    row_id, version, name, kind, size, mtime, token = row
    return Entry(name, NAMED[kind], size, float(mtime), unstored(token), number=version << VERSION_SHIFT | row_id)


def link_number(number: int, view: int) -> int:
    """The number of the link in a view to a name of `number`, whatever its version; 0 for what has none."""
    return _LINK | view << _VIEW_SHIFT | number & (1 << VERSION_SHIFT) - 1 if number else 0


def linked(number: int) -> tuple[int, int] | None:
    """The view and the row of a link's number; None for one of no link."""
    if not number & _LINK:
        return None
    return (number ^ _LINK) >> _VIEW_SHIFT, number & (1 << VERSION_SHIFT) - 1


def written(mtime: float) -> str:
    """A time as text: JSON would keep fewer digits. One out of all bounds is none."""
    return repr(float(mtime)) if abs(mtime) < _LATEST else "0.0"


def stored(token: str) -> str:
    """A token as text that SQLite takes: a header may hold what is no text."""
    return token if token.isascii() else _ODD + json.dumps(token)


def unstored(stored: str) -> str:
    """A token as it was."""
    return str(json.loads(stored[1:])) if stored.startswith(_ODD) else stored


def showable(name: str) -> bool:
    """Whether a name can be one in a folder of a computer (N8), and is none of ours (N4)."""
    if not name or name in {".", ".."} or "/" in name or "\0" in name or name.startswith(HIDDEN):
        return False
    return sayable(name) and (len(name) <= LONGEST_NAME_BYTES // 4 or len(name.encode()) <= LONGEST_NAME_BYTES)


def sayable(path: str) -> bool:
    """Whether it is text."""
    if path.isascii():
        return True
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def absent(dataset: str, path: str) -> FileNotThere:
    """What to say of a name that the archive does not have; of the top of a dataset, too."""
    if not path:
        return FileNotThere(
            f"{dataset} itself is not in the archive.", next_step="Ask the facility's support whether it has moved."
        )
    return FileNotThere(f"{_shown(dataset, path)} is not there.", next_step="List its folder to see what is.")


def listed_file(dataset: str, path: str) -> NotFolder:
    """What to say to who lists a file."""
    shown = _shown(dataset, path)
    return NotFolder(f"{shown} is a file.", next_step=f"Open it, or list {split(shown)[0]} to see it.")


def _shown(dataset: str, path: str) -> str:
    return f"{dataset}/{path}".encode("utf-8", "backslashreplace").decode()
