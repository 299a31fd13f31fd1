"""YAML files that people write: read whole, every mistake told with file, line and what to write.

The words of the YAML library stay here: each kind of mistake has a sentence of ours.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import yaml

from jupyter_alc.core.errors import BadFile

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

LARGEST: Final = 4_000_000  # bytes; more is no list that a person wrote, and no form could show it
_LOADER: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # a hundred times faster, and no nesting ends it
_DUMPER: Final[Any] = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
_NOT_TEXT: Final = re.compile(r"[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufeff\ufff0-\ufffd\U00010000-\U0010ffff]")

# what the library says of a mistake, what we say, what to write
_MISTAKES: Final[Mapping[str, tuple[str, str]]] = {
    "tab": ("a tab stands where only blanks may", "Indent with blanks."),
    "alias": ("a value begins with a star", 'Put it in quotes: "*".'),
    "mapping values": (
        "a colon or the indentation is not right",
        'Begin the line below the first letter of the line it belongs with; put text that holds ": " into quotes.',
    ),
    "unexpected end of stream": ("a quote is opened here and never closed", "Close it."),
    "another document": ("a second document begins", "Remove the line `---`."),
    "escape": ("a quoted text holds a backslash that means nothing", "Write it twice, or use single quotes."),
    "nesting": ("it is nested too deeply", "Write a plain list."),
    "cannot start any token": ("a value begins with a mark that YAML keeps for itself", "Put the value in quotes."),
    "block": (
        "the indentation or a quote is not right",
        "Begin the line below the first letter of the line it belongs with; close each quote where the value ends.",
    ),
    "expected ':'": ("a colon is missing", "Write `name: value`."),
    "','": ("a bracket is opened and never closed", "Close it, and part its values with commas."),
}
_OPENED: Final = frozenset({"unexpected end of stream", "','"})  # told where they begin
_INDENTED_BY_TAB: Final = re.compile(r" *\t")
_UNREADABLE: Final = "Check the path, and that whoever runs this may read it."
_UNKNOWN: Final = ("this is not YAML", "Check the indentation, quotes and colons there.")


@dataclass(frozen=True, slots=True)
class Spot:
    """A place in a file, to be named when something is wrong there."""

    file: Path
    node: Any = None  # yaml.Node; None is the file as a whole

    def wrong(self, what: str, write: str, field: str = "") -> BadFile:
        """Make the error of a mistake here: what is wrong, and what to write instead."""
        return _wrong(self.file, None if self.node is None else self.node.start_mark.line + 1, what, write, field)

    def listed(self, what: str, write: str) -> list[Spot]:
        """Return the values of the list here; `BadFile` when this is none."""
        if not isinstance(self.node, yaml.SequenceNode):
            raise self.wrong(what, write)
        return [Spot(self.file, one) for one in self.node.value]

    def table(self, what: str, write: str) -> dict[str, Spot]:
        """Return the values of the table here by their names; `BadFile` when this is none or a name is there twice."""
        if not isinstance(self.node, yaml.MappingNode):
            raise self.wrong(what, write)
        found: dict[str, Spot] = {}
        for key, value in self.node.value:
            spot = Spot(self.file, key)
            if not isinstance(key, yaml.ScalarNode):
                raise spot.wrong("a name is not a word.", write)
            if key.value in found:
                raise spot.wrong(f"{key.value[:60]!r} is there twice.", "Remove one of the two.")
            found[key.value] = Spot(self.file, value)
        return found


def read_text(path: Path) -> str:
    """Read a whole file as UTF-8 text; `BadFile` when it cannot be read or is none."""
    try:
        with path.open("rb") as file:
            told = file.read(LARGEST + 1)
    except OSError as error:
        raise _wrong(path, None, f"the file cannot be read: {error.strerror}.", _UNREADABLE) from error
    if len(told) > LARGEST:
        size = f"{LARGEST // 10**6} MB"
        raise _wrong(path, None, f"the file is larger than {size}.", "Check that it is the right one, or write less.")
    try:
        text = told.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = told.count(b"\n", 0, error.start) + 1
        raise _wrong(path, line, "the file is not UTF-8 text.", "Save it with the encoding UTF-8.") from error
    strange = _NOT_TEXT.search(text)
    if strange is not None:
        line = text.count("\n", 0, strange.start()) + 1
        raise _wrong(path, line, f"there is a character that is not text ({strange[0]!a}).", "Remove it.")
    return text


def read_yaml(path: Path, write: str) -> Spot:
    """Read a file with something in it; `BadFile` names the line of a mistake. `write` says what an empty one lacks."""
    text = read_text(path)
    try:
        root = yaml.compose(text, Loader=_LOADER)
    except yaml.MarkedYAMLError as error:
        raise _told(path, text, error) from error
    except (yaml.YAMLError, RecursionError) as error:
        raise _wrong(path, None, f"{_UNKNOWN[0]}.", _UNKNOWN[1]) from error
    if root is None:
        raise _wrong(path, 1, "the file is empty.", write)
    return Spot(path, root)


def as_yaml(told: Any) -> str:
    """Write lists and tables of plain values as YAML that `read_yaml` reads back."""
    return str(yaml.dump(told, Dumper=_DUMPER, sort_keys=False, allow_unicode=True))


def _told(path: Path, text: str, error: yaml.MarkedYAMLError) -> BadFile:
    mark = error.problem_mark or error.context_mark
    line = mark.line if mark is not None else 0
    said = "tab" if _INDENTED_BY_TAB.match("".join(text.splitlines()[line : line + 1])) else ""
    said = said or f"{error.problem} {error.context}"
    sign = next((one for one in _MISTAKES if one in said), "")
    what, write = _MISTAKES.get(sign, _UNKNOWN)
    if sign in _OPENED and error.context_mark is not None:
        line = error.context_mark.line
    return _wrong(path, line + 1, f"{what}.", write)


def _wrong(path: Path, line: int | None, what: str, write: str, field: str = "") -> BadFile:
    where = "" if line is None else f", line {line}"
    return BadFile(f"{path}{where}: {what}", next_step=write, field=field)
