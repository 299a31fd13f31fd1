"""Which datasets there are, for whom: read from YAML, every mistake told with file, line and what to write."""

from __future__ import annotations

import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import yaml

from jupyter_alc.core.dataset import Access, Dataset, MountedDataset
from jupyter_alc.core.errors import AlcError, BadFile, NotFound
from jupyter_alc.core.names import looks_hashed, slug
from jupyter_alc.dms.adapters.opening import known_adapters

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

_NEEDED: Final = ("id", "title", "adapter", "url")


@dataclass(frozen=True, slots=True)
class _Spot:
    """A place in a file, to be named when something is wrong there."""

    file: Path
    node: yaml.Node | None = None

    def wrong(self, what: str, write: str) -> BadFile:
        line = f", line {self.node.start_mark.line + 1}" if self.node is not None else ""
        return BadFile(f"{self.file}{line}: {what}", next_step=write)


class Catalogue:
    """The datasets of one file, in its order."""

    def __init__(self, datasets: Iterable[Dataset]) -> None:
        self._datasets = {one.id: one for one in datasets}

    @classmethod
    def from_file(cls, path: Path) -> Catalogue:
        """Read `path`; `BadFile` names file and line of the first mistake and says what to write."""
        root = _compose(path)
        top = _table(_Spot(path, root), "the file", "Write `datasets:` and below it a list.")
        if set(top) != {"datasets"}:
            stray = next((key for key in top if key != "datasets"), None)
            spot = _Spot(path, top[stray]) if stray else _Spot(path, root)
            raise spot.wrong(
                f"{stray!r} is not known here." if stray else "there is no `datasets`.", "Write `datasets:` alone."
            )
        listed = top["datasets"]
        if not isinstance(listed, yaml.SequenceNode):
            raise _Spot(path, listed).wrong("`datasets` is not a list.", "Begin each dataset with `- id: …`.")
        seen: dict[str, Dataset] = {}
        for node in listed.value:
            dataset = _dataset(_Spot(path, node))
            if dataset.id in seen:
                raise _Spot(path, node).wrong(
                    f"the id {dataset.id!r} is there twice.", "Give each dataset an id of its own."
                )
            seen[dataset.id] = dataset
        return cls(seen.values())

    def all(self) -> list[Dataset]:
        """Every dataset."""
        return list(self._datasets.values())

    def for_user(self, user: str) -> list[Dataset]:
        """The datasets that `user` may see."""
        return [one for one in self._datasets.values() if one.access_of(user) is not None]

    def mounted_for(self, user: str, ids: Iterable[str], credentials_file: Path | None = None) -> list[MountedDataset]:
        """The datasets `ids` as `user`'s machine gets them. `NotFound` for one that is not there or not theirs."""
        keys = read_credentials(credentials_file) if credentials_file is not None else {}
        return [self._mounted(user, one, keys) for one in dict.fromkeys(ids)]

    def _mounted(self, user: str, key: str, keys: Mapping[str, Mapping[str, Mapping[str, str]]]) -> MountedDataset:
        dataset = self._datasets.get(key)
        access = dataset.access_of(user) if dataset is not None else None
        if dataset is None or access is None:
            raise NotFound(
                f"There is no dataset {key!r} for {user}.", next_step="Choose one from the list.", field="datasets"
            )
        theirs = keys.get(dataset.credentials, {}) if dataset.credentials else {}
        return MountedDataset(
            id=dataset.id,
            title=dataset.title,
            adapter=dataset.adapter,
            url=dataset.url.replace("{user}", url_part(user)),
            access=Access(access),
            where=dataset.where,
            size_bytes=dataset.size_bytes,
            published=dataset.published,
            credentials=dict(theirs.get(user, {})),
        )


def read_credentials(path: Path) -> dict[str, dict[str, dict[str, str]]]:
    """Read `{name: {user: {username, password}}}`; the file must be its owner's alone (0600)."""
    spot = _Spot(path)
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise spot.wrong("the credentials cannot be read.", "Make the file, or leave credentials out.") from error
    if stat.S_IMODE(mode) & 0o077:
        raise spot.wrong("others can read the credentials.", f"Run: chmod 600 {path}")
    shape = "Write `name:`, below it `user:`, below it `username:` and `password:`."
    told: dict[str, dict[str, dict[str, str]]] = {}
    for name, users in _table(_Spot(path, _compose(path)), "the file", shape).items():
        told[name] = {}
        for user, words in _table(_Spot(path, users), name, shape).items():
            pairs = _table(_Spot(path, words), user, shape)
            told[name][user] = {key: _text(_Spot(path, one), key) for key, one in pairs.items()}
    return told


def _compose(path: Path) -> yaml.Node:
    try:
        text = path.read_text(encoding="utf-8")
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except (OSError, UnicodeDecodeError) as error:
        raise _Spot(path).wrong(
            "the file cannot be read as UTF-8 text.", "Check that it exists and its encoding."
        ) from error
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark is not None else 1
        what = error.problem or "something is wrong"
        raise BadFile(
            f"{path}, line {line}: this is not YAML ({what}).", next_step="Check indentation, quotes and colons there."
        ) from error
    except yaml.YAMLError as error:
        raise _Spot(path).wrong("this is not YAML.", "Remove characters that are not text.") from error
    if root is None:
        raise _Spot(path).wrong("the file is empty.", "Write `datasets:` and below it a list.")
    return root


def _table(spot: _Spot, name: str, write: str) -> dict[str, yaml.Node]:
    if not isinstance(spot.node, yaml.MappingNode):
        raise spot.wrong(f"{name} is not a table.", write)
    found: dict[str, yaml.Node] = {}
    for key, value in spot.node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise _Spot(spot.file, key).wrong("a name is not a word.", write)
        if key.value in found:
            raise _Spot(spot.file, key).wrong(f"{key.value!r} is there twice.", "Remove one of the two.")
        found[key.value] = value
    return found


def _dataset(spot: _Spot) -> Dataset:
    fields = _table(spot, "a dataset", "Write `- id: …` and below it `title:`, `adapter:`, `url:`.")
    for name, node in fields.items():
        if name not in _READERS:
            known = ", ".join(_READERS)
            raise _Spot(spot.file, node).wrong(f"a dataset has no {name!r}.", f"Use one of {known}.")
    for name in _NEEDED:
        if name not in fields:
            raise spot.wrong(f"the dataset has no {name}.", f"Add `{name}: …` to it.")
    values = {name: _READERS[name](_Spot(spot.file, node), name) for name, node in fields.items()}
    if values["adapter"] not in known_adapters():
        where = _Spot(spot.file, fields["adapter"])
        raise where.wrong(f"there is no adapter {values['adapter']!r}.", f"Use one of {', '.join(known_adapters())}.")
    try:
        return Dataset(**values)
    except AlcError as error:
        at = fields.get(error.field) or fields["id"]
        raise _Spot(spot.file, at).wrong(error.sentence, error.next_step) from error


def _text(spot: _Spot, name: str) -> str:
    node = spot.node
    if not isinstance(node, yaml.ScalarNode) or node.tag != "tag:yaml.org,2002:str":
        raise spot.wrong(f"{name} is not text.", f'Write {name}: "…" in quotes.')
    return str(node.value)


def _bytes(spot: _Spot, name: str) -> int | None:
    node = spot.node
    if isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:null":
        return None
    digits = node.value.replace("_", "") if isinstance(node, yaml.ScalarNode) else ""
    if not digits.isdecimal() or not digits.isascii():
        raise spot.wrong(f"{name} is not a whole number of bytes.", f"Write {name}: 37000000, or leave it out.")
    return int(digits)


def _yes_no(spot: _Spot, name: str) -> bool:
    node = spot.node
    if not isinstance(node, yaml.ScalarNode) or node.value not in {"true", "false"} or node.style:
        raise spot.wrong(f"{name} is neither true nor false.", f"Write {name}: true or {name}: false.")
    return bool(node.value == "true")


def _people(spot: _Spot, name: str) -> frozenset[str]:
    node = spot.node
    if not isinstance(node, yaml.SequenceNode):
        raise spot.wrong(f"{name} is not a list.", f'Write {name}: [ada, brahe], or {name}: ["*"] for everybody.')
    return frozenset(_text(_Spot(spot.file, one), name) for one in node.value)


def _labels(spot: _Spot, name: str) -> Mapping[str, str]:
    return {
        key: _text(_Spot(spot.file, one), key)
        for key, one in _table(spot, name, f"Write {name}: {{word: text}}.").items()
    }


_READERS: Final[Mapping[str, Callable[[_Spot, str], Any]]] = {
    "id": _text,
    "title": _text,
    "description": _text,
    "adapter": _text,
    "url": _text,
    "where": _text,
    "readers": _people,
    "writers": _people,
    "size_bytes": _bytes,
    "published": _yes_no,
    "labels": _labels,
    "credentials": _text,
}


def url_part(user: str) -> str:
    """A user's name as one part of an address: itself where that is safe, else its collision-free short form."""
    safe = all(one.isascii() and (one.isalnum() or one in "-_@") for one in user)
    return user if user and safe and not looks_hashed(user) else slug(user)
