"""Which datasets there are, for whom: read from YAML, every mistake told with file, line and what to write."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING, Any, Final

import yaml

from jupyter_alc.core.dataset import Access, Dataset, MountedDataset
from jupyter_alc.core.errors import AlcError, NotFound
from jupyter_alc.core.names import joined, looks_hashed, slug
from jupyter_alc.core.written import Spot, read_yaml
from jupyter_alc.dms.adapters.opening import known_adapters

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

_NEEDED: Final = ("id", "title", "adapter", "url")
_LISTED: Final = "Write `datasets:` and below it a list."


class Catalogue:
    """The datasets of one file, in its order."""

    def __init__(self, datasets: Iterable[Dataset]) -> None:
        self._datasets = {one.id: one for one in datasets}

    @classmethod
    def from_file(cls, path: Path) -> Catalogue:
        """Read `path`; `BadFile` names file and line of the first mistake and says what to write."""
        root = read_yaml(path, _LISTED)
        top = root.table("the file is not a table.", _LISTED)
        if set(top) != {"datasets"}:
            stray = next((key for key in top if key != "datasets"), None)
            if stray is None:
                raise root.wrong("there is no `datasets`.", "Write `datasets:` alone.")
            raise top[stray].wrong(f"{stray[:60]!r} is not known here.", "Write `datasets:` alone.")
        adapters = known_adapters()
        seen: dict[str, Dataset] = {}
        for spot in top["datasets"].listed("`datasets` is not a list.", "Begin each dataset with `- id: …`."):
            dataset = _dataset(spot, adapters)
            if dataset.id in seen:
                raise spot.wrong(f"the id {dataset.id!r} is there twice.", "Give each dataset an id of its own.")
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
                f"There is no dataset {key[:60]!r} for {user}.", next_step="Choose one from the list.", field="datasets"
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
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise Spot(path).wrong(
            f"the credentials cannot be read: {error.strerror}.", "Make the file, or leave credentials out."
        ) from error
    if stat.S_IMODE(mode) & 0o077 and not stat.S_ISDIR(mode):
        raise Spot(path).wrong("others can read the credentials.", f"Run: chmod 600 {path}")
    shape = "Write `name:`, below it `user:`, below it `username:` and `password:`."
    told: dict[str, dict[str, dict[str, str]]] = {}
    for name, users in read_yaml(path, shape).table("the file is not a table.", shape).items():
        told[name] = {}
        for user, words in users.table(f"{name[:60]!r} is not a table.", shape).items():
            pairs = words.table(f"{user[:60]!r} is not a table.", shape)
            told[name][user] = {key: _text(one, key) for key, one in pairs.items()}
    return told


def _dataset(spot: Spot, adapters: Sequence[str]) -> Dataset:
    fields = spot.table("a dataset is not a table.", "Write `- id: …` and below it `title:`, `adapter:`, `url:`.")
    for name, one in fields.items():
        if name not in _READERS:
            raise one.wrong(f"a dataset has no {name[:60]!r}.", f"Use one of {', '.join(_READERS)}.")
    for name in _NEEDED:
        if name not in fields:
            raise spot.wrong(f"the dataset has no {name}.", f"Add `{name}: …` to it.")
    values = {name: _READERS[name](one, name) for name, one in fields.items()}
    if values["adapter"] not in adapters:
        raise fields["adapter"].wrong(
            f"there is no adapter {values['adapter'][:60]!r}.", f"Use one of {', '.join(adapters)}."
        )
    try:
        return Dataset(**values)
    except AlcError as error:
        at = fields.get(error.field) or fields["id"]
        raise at.wrong(error.sentence, error.next_step) from error


def _text(spot: Spot, name: str) -> str:
    node = spot.node
    if not isinstance(node, yaml.ScalarNode) or node.tag != "tag:yaml.org,2002:str":
        raise spot.wrong(f"{name} is not text.", f'Write {name}: "…" in quotes.')
    return str(node.value)


def _line(spot: Spot, name: str) -> str:
    """A text to be shown: YAML lets it run over lines, people see it as one."""
    return joined(_text(spot, name))


def _bytes(spot: Spot, name: str) -> int | None:
    node = spot.node
    if isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:null":
        return None
    digits = node.value.replace("_", "") if isinstance(node, yaml.ScalarNode) else ""
    if not digits.isdecimal() or not digits.isascii():
        raise spot.wrong(f"{name} is not a whole number of bytes.", f"Write {name}: 37000000, or leave it out.")
    return int(digits)


def _yes_no(spot: Spot, name: str) -> bool:
    node = spot.node
    if not isinstance(node, yaml.ScalarNode) or node.value not in {"true", "false"} or node.style:
        raise spot.wrong(f"{name} is neither true nor false.", f"Write {name}: true or {name}: false.")
    return bool(node.value == "true")


def _people(spot: Spot, name: str) -> frozenset[str]:
    write = f'Write {name}: [ada, brahe], or {name}: ["*"] for everybody.'
    return frozenset(_text(one, name) for one in spot.listed(f"{name} is not a list.", write))


def _labels(spot: Spot, name: str) -> Mapping[str, str]:
    pairs = spot.table(f"{name} is not a table.", f"Write {name}: {{word: text}}.")
    return {key: _line(one, key) for key, one in pairs.items()}


_READERS: Final[Mapping[str, Callable[[Spot, str], Any]]] = {
    "id": _text,
    "title": _line,
    "description": _line,
    "adapter": _text,
    "url": _text,
    "where": _line,
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
