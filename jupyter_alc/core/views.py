"""Views of a dataset: which paths of an archive are shown, and where. Pure text; nothing here asks anybody (N18)."""

from __future__ import annotations

import hashlib
import itertools
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from jupyter_alc.core.errors import BadInput
from jupyter_alc.core.names import identifier, one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

MOST_VIEWS: Final = 16  # of one dataset
_LONGEST_NAME_BYTES: Final = 255
_TOKEN: Final = re.compile(r"\{(?P<group>[a-z][a-z0-9_]{0,30})(?::(?P<kind>digits|letters))?\}|(?P<text>[^{}/\0]+)")
_KINDS: Final = {"": "[^/]+?", "digits": "[0-9]+", "letters": r"[^\W\d_]+"}
_MARK_DIGITS: Final = 16
_MARKED: Final = re.compile(rf".*~[0-9a-f]{{{_MARK_DIGITS}}}(?:\.[^.]*)?", re.DOTALL)
_WRITE: Final = 'Write it like "{cycle}/{instrument}/{instrument}{run:digits}.nxs".'


class Token(NamedTuple):
    """A piece of a pattern: `text`, or the `group` of that name, of what `kind` says."""

    text: str = ""
    group: str = ""
    kind: str = ""


Part = tuple[Token, ...]
Bound = dict[str, str]
"""The texts of groups by their names."""


@dataclass(frozen=True, slots=True)
class View:
    """A folder of a dataset that shows the paths `of` the archive `at` other places."""

    name: str
    of: str
    at: str

    def __post_init__(self) -> None:
        identifier(self.name, "name of a view")
        for field in ("of", "at"):
            one_line(getattr(self, field), field)
        of, at = _parts(self.of, "of"), _parts(self.at, "at")
        _check_groups(of, at)

    def as_json(self) -> dict[str, str]:
        """The table of a catalogue's file, without the name."""
        return {"of": self.of, "at": self.at}


class Rule:
    """What a `View` says, taken apart."""

    def __init__(self, view: View) -> None:
        self.view = view
        self.of_folders, self.keeps_name = view.of.endswith("/"), view.at.endswith("/")
        self.of, self.at = _parts(view.of, "of"), _parts(view.at, "at")
        self._kinds = {one.group: one.kind for part in reversed(self.of) for one in reversed(part) if one.group}
        self._kinds |= {one.group: one.kind for part in self.of for one in part if one.kind}

    @property
    def depth(self) -> int:
        """How many names below the view a link is."""
        return len(self.at) + self.keeps_name

    @property
    def one_to_one(self) -> bool:
        """Whether no two paths can have one place: each group can be told from it."""
        told, before = set[str](), -1
        seen = (*self.at, self.of[-1]) if self.keeps_name else self.at  # parts whose text can be read in a place
        own = _groups(self.of[:-1] if self.keeps_name else self.of)
        while len(told) > before:
            before = len(told)
            for part in seen:
                told |= self._readable(part, told)
        return own <= told

    def _readable(self, part: Part, told: set[str]) -> set[str]:
        """The groups that the text of a part tells, where those of `told` are known: one, or such that end by kind."""
        left = _groups([part]) - told
        if len(left) == 1 and sum(one.group in left for one in part) == 1:
            return left
        ends = all(self._ends(one, after) for one, after in itertools.pairwise(part) if one.group)
        return left if ends and all(self._kinds[one] for one in _groups([part])) else set()

    def _ends(self, one: Token, after: Token) -> bool:
        """Whether a group of some kind cannot go on into what stands after it."""
        kind = self._kinds[one.group]
        if after.group:
            return kind != self._kinds[after.group]
        return kind != "" and re.fullmatch(_KINDS[kind], after.text[0]) is None

    def needs(self, levels: int) -> int:
        """How many parts of `of` make the first `levels` names of a place."""
        if levels > len(self.at) or levels == self.depth:
            return len(self.of)
        wanted = _groups(self.at[:levels])
        return next(n for n in range(1, len(self.of) + 1) if wanted <= _groups(self.of[:n]))

    def hints(self, asked: Sequence[str]) -> Bound | None:
        """What is known of the groups from the first names of a place; None where nothing can be there."""
        known: Bound = {}
        for part, text in zip(self.at, asked, strict=False):
            groups = [one for one in part if one.group]
            if not groups and text != _render(part, {}):
                return None
            if len(groups) != 1:
                continue
            place = part.index(groups[0])
            first, last = _render(part[:place], {}), _render(part[place + 1 :], {})
            value = text[len(first) : len(text) - len(last)]
            if text != first + value + last or not self._may_be(groups[0].group, value):
                return None
            if known.setdefault(groups[0].group, value) != value:
                return None
        return known

    def exact(self, depth: int, known: Mapping[str, str]) -> str | None:
        """The one name that the part of `of` at `depth` can mean; None where only a listing tells."""
        part = self.of[depth]
        return _render(part, known) if _groups([part]) <= known.keys() else None

    def reader(self, depth: int, known: Mapping[str, str]) -> Reader:
        """What a name at `depth` must be, below a path that told `known`."""
        return Reader(self.of[depth], self._kinds, known)

    def agrees(self, asked: Sequence[str], known: Mapping[str, str]) -> bool:
        """Whether what is `known` of a path can make it lie where the names `asked` lead."""
        return all(
            _render(part, known) == text
            for part, text in zip(self.at, asked, strict=False)
            if _groups([part]) <= known.keys()
        )

    def name(self, level: int, path: str, known: Mapping[str, str]) -> str:
        """The name at a level of the place of `path`, of which at least that is known."""
        return path.rpartition("/")[2] if level == len(self.at) else _render(self.at[level], known)

    def place(self, path: str) -> list[str] | None:
        """Where `path` of the archive is shown: the names below the view; None where it is not."""
        names, known = path.split("/"), Bound()
        if len(names) != len(self.of):
            return None
        for depth, name in enumerate(names):
            told = self.reader(depth, known).read(name)
            if told is None:
                return None
            known |= told
        return [self.name(level, path, known) for level in range(self.depth)]

    def _may_be(self, group: str, value: str) -> bool:
        return re.fullmatch(_KINDS[self._kinds[group]], value, re.DOTALL) is not None


class Reader:
    """A part of a pattern below a path that told some groups: what it tells of a name, read from the left.

    From the right it is found where each token can begin, from the left where each ends: no name makes it try again.
    """

    def __init__(self, part: Part, kinds: Mapping[str, str], known: Mapping[str, str]) -> None:
        self._tokens = [Token(text=known[one.group]) if one.group in known else one for one in part]
        self._kinds = kinds
        groups = [one.group for one in self._tokens if one.group]
        self._twice = groups[0] if groups and groups[0] in groups[1:] else ""
        self._kind = {name: re.compile(_KINDS[kinds[name]]) for name in groups if kinds[name]}

    def read(self, name: str) -> Bound | None:
        """The groups that a name tells; None where it is none of the part's."""
        if self._twice:
            return self._read_twice(name)
        ends, last = list[set[int]](), {len(name)}  # where what follows a token can begin
        for one in reversed(self._tokens):
            ends.append(last)
            last = self._begins(one, name, last)
            if not last:
                return None
        if 0 not in last:
            return None
        told, place = Bound(), 0
        for one, fits in zip(self._tokens, reversed(ends), strict=True):
            if not one.group:
                place += len(one.text)
                continue
            end = next(end for end in self._ends(one.group, name, place) if end in fits)
            told[one.group], place = name[place:end], end
        return told

    def _read_twice(self, name: str) -> Bound | None:
        """The same, where the first group is there again: for each text that it may be in turn."""
        place = len("".join(one.text for one in itertools.takewhile(lambda one: not one.group, self._tokens)))
        longest = (len(name) - place) // sum(one.group == self._twice for one in self._tokens)
        for end in self._ends(self._twice, name, place):
            if end <= place + longest:
                own = {self._twice: name[place:end]}
                told = Reader(tuple(self._tokens), self._kinds, own).read(name)
                if told is not None:
                    return own | told
        return None

    def _begins(self, one: Token, name: str, ends: set[int]) -> set[int]:
        """Where a token can begin that ends at one of `ends`."""
        if not one.group:
            length = len(one.text)
            return {end - length for end in ends if end >= length and name.startswith(one.text, end - length)}
        kind = self._kind.get(one.group)
        if kind is None:
            return set(range(max(ends)))
        begins = set[int]()
        for place in reversed(range(max(ends))):
            if (place + 1 in ends or place + 1 in begins) and kind.fullmatch(name, place, place + 1):
                begins.add(place)
        return begins

    def _ends(self, group: str, name: str, place: int) -> Iterable[int]:
        """Where a group that begins at a place of a name may end, the best first."""
        kind = self._kind.get(group)
        if kind is None:
            return range(place + 1, len(name) + 1)
        run = kind.match(name, place)
        return reversed(range(place + 1, run.end() + 1)) if run else ()


@lru_cache(maxsize=256)
def rule_of(view: View) -> Rule:
    """The view, taken apart."""
    return Rule(view)


def views_from_json(told: Mapping[str, Any]) -> tuple[View, ...]:
    """The views of a catalogue's table, by name."""
    return tuple(View(name, **one) for name, one in told.items())


def places(views: Iterable[View], path: str) -> list[str]:
    """Where a path of the archive is shown in each view, as far as it alone tells that."""
    found = ((one.name, rule_of(one).place(path)) for one in views)
    return ["/".join((name, *names)) for name, names in found if names is not None]


def marked(name: str, path: str) -> str:
    """A name that no other path has: with a mark of `path` before its ending."""
    stem, dot, ending = name.rpartition(".")
    if not stem or len(dot + ending) > _LONGEST_NAME_BYTES // 4:
        stem, dot, ending = name, "", ""
    digits = hashlib.sha256(path.encode("utf-8", "surrogatepass")).hexdigest()[:_MARK_DIGITS]
    room = _LONGEST_NAME_BYTES - len(f"~{digits}{dot}{ending}".encode())
    return f"{stem.encode()[:room].decode(errors='ignore')}~{digits}{dot}{ending}"


def looks_marked(name: str) -> bool:
    """Whether `marked` could have made this name of another."""
    return _MARKED.fullmatch(name) is not None


def _parts(pattern: str, field: str) -> tuple[Part, ...]:
    """The parts of a pattern between its slashes; `BadInput` where it is none."""
    parts = pattern.removesuffix("/").split("/")
    return tuple(_part(one, field) for one in parts)


def _part(text: str, field: str) -> Part:
    tokens, place = list[Token](), 0
    if text in {"", ".", ".."}:
        raise BadInput(f"{field} has the part {text!r}, which is no name.", next_step=_WRITE, field=field)
    while place < len(text):
        found = _TOKEN.match(text, place)
        if found is None:
            raise BadInput(f"{text[place : place + 40]!r} in {field} is no group.", next_step=_WRITE, field=field)
        tokens.append(Token(found["text"] or "", found["group"] or "", found["kind"] or ""))
        place = found.end()
    return tuple(tokens)


def _check_groups(of: Sequence[Part], at: Sequence[Part]) -> None:
    known, kinds = set[str](), Bound()
    for part in of:
        told = [one.group for one in part if one.group and one.group not in known]
        twice = next((one for one in told if told.count(one) > 1 and one != told[0]), None)
        if twice is not None:
            raise BadInput(
                f"{{{twice}}} is twice in a name where {{{told[0]}}} comes before it.",
                next_step="Only the first group of a name, or one that a folder above it tells, can be in it twice.",
                field="of",
            )
        before = Token(text="/")
        for one in part:
            if before.group and one.group and not {before.group, one.group} & known and not before.kind + one.kind:
                raise BadInput(
                    f"nothing tells where {{{before.group}}} ends and {{{one.group}}} begins.",
                    next_step=f"Write text between them, or {{{one.group}:digits}}.",
                    field="of",
                )
            if one.kind and kinds.setdefault(one.group, one.kind) != one.kind:
                raise BadInput(f"{{{one.group}}} is of two kinds.", next_step="Say the same of it twice.", field="of")
            if before.group:
                known.add(before.group)
            before = one
        known |= _groups([part])
    for one in (one for part in at for one in part if one.group):
        if one.group not in known:
            raise BadInput(
                f"of has no group {{{one.group}}}.", next_step=f"Use one of {', '.join(sorted(known))}.", field="at"
            )
        if one.kind:
            raise BadInput(
                f"{one.kind} is said in at.", next_step=f"Write {{{one.group}}} there, the kind in of.", field="at"
            )


def _groups(parts: Iterable[Part]) -> set[str]:
    return {one.group for part in parts for one in part if one.group}


def _render(part: Part, known: Mapping[str, str]) -> str:
    return "".join(known[one.group] if one.group else one.text for one in part)
