"""Which datasets there are, for whom: read from YAML, every mistake told with file, line and what to write."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml

from jupyter_alc.core.dataset import Access, Dataset, MountedDataset, Pattern, Transfer
from jupyter_alc.core.errors import AlcError, BadInput, NotFound
from jupyter_alc.core.names import LONGEST_DESCRIPTION, LONGEST_LINE, joined, looks_hashed, slug
from jupyter_alc.core.views import View
from jupyter_alc.core.written import Spot, read_yaml
from jupyter_alc.dms.adapters.opening import known_adapters
from jupyter_alc.dms.adapters.s3_sessions import check_broker, is_broker, session_keys

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

SCHEMA: Final = Path(__file__).with_name("catalogue.schema.json")
_NEEDED: Final = ("id", "title", "adapter", "url")
_LISTED: Final = "Write `datasets:` and below it a list."
_TOP: Final = ("datasets", "archives")
_VIEWS: Final = 'Write views: {by-run: {of: "{cycle}/{instrument}{run:digits}.nxs", at: "{cycle}/{run}/"}}.'
_PATTERNS: Final = "Write transfer: {pattern: lazy}, with siblings, mirror or list for lazy."


class Catalogue:
    """The datasets of one file, in its order."""

    def __init__(self, datasets: Iterable[Dataset]) -> None:
        self._datasets = {one.id: one for one in datasets}

    @classmethod
    def from_file(cls, path: Path) -> Catalogue:
        """Read `path`; `BadFile` names file and line of the first mistake and says what to write."""
        root = read_yaml(path, _LISTED)
        top = root.table("the file is not a table.", _LISTED)
        stray = next((key for key in top if key not in _TOP), None)
        if stray is not None:
            raise top[stray].wrong(f"{stray[:60]!r} is not known here.", "Write `datasets:` and `archives:` alone.")
        if "datasets" not in top:
            raise root.wrong("there is no `datasets`.", _LISTED)
        archives = _archives(top["archives"]) if "archives" in top else {}
        adapters = known_adapters()
        seen: dict[str, Dataset] = {}
        for spot in top["datasets"].listed("`datasets` is not a list.", "Begin each dataset with `- id: …`."):
            dataset = _dataset(spot, adapters, archives)
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
        """The datasets `ids` as `user`'s machine gets them. `NotFound` for one that is not there or not theirs.

        Where credentials name a role, the archive is asked for session keys, which blocks; `Unavailable` or `Denied`.
        """
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
        words, url = theirs.get(user) or theirs.get("*", {}), dataset.url.replace("{user}", url_part(user))
        if is_broker(words):
            words = session_keys(words, url, Access(access), user)
        return MountedDataset(
            id=dataset.id,
            title=dataset.title,
            adapter=dataset.adapter,
            url=url,
            access=Access(access),
            where=dataset.where,
            size_bytes=dataset.size_bytes,
            published=dataset.published,
            credentials=dict(words),
            transfer=dataset.transfer,
            views=dataset.views,
        )


def read_credentials(path: Path) -> dict[str, dict[str, dict[str, str]]]:
    """Read `{name: {user: {username, password}}}`, `*` for everybody; the file must be its owner's alone (0600)."""
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
            told[name][user] = known = {key: _text(one, key) for key, one in pairs.items()}
            if is_broker(known):
                try:
                    check_broker(known)
                except BadInput as error:
                    raise words.wrong(error.sentence, error.next_step) from error
    return told


def _archives(spot: Spot) -> dict[str, dict[str, Any]]:
    """What all datasets of an archive have in common, by its name."""
    shape = "Write `name:` and below it `transfer: {…}`."
    found = {}
    for name, one in spot.table("`archives` is not a table.", shape).items():
        for field, told in one.table(f"{name[:60]!r} is not a table.", shape).items():
            if field != "transfer":
                raise told.wrong(f"an archive has no {field[:60]!r}.", shape)
            found[name] = _transfer(told, "transfer")
        found.setdefault(name, {})
    return found


def _dataset(spot: Spot, adapters: Sequence[str], archives: Mapping[str, dict[str, Any]]) -> Dataset:
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
    archive = values.pop("archive", None)
    if archive is not None and archive not in archives:
        known = f"Use one of {', '.join(archives)}." if archives else "Write it below `archives:`, or leave it out."
        raise fields["archive"].wrong(f"there is no archive {archive[:60]!r}.", known)
    values["transfer"] = Transfer(**{**archives.get(archive, {}), **values.get("transfer", {})})
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


def _line(spot: Spot, name: str, most: int = LONGEST_LINE) -> str:
    """A text to be shown: YAML lets it run over lines, people see it as one."""
    text = _text(spot, name)
    if len(text) > most:
        raise spot.wrong(f"{name[:60]} is longer than {most} characters.", f"Shorten the {name[:60]}.")
    return joined(text)


def _description(spot: Spot, name: str) -> str:
    return _line(spot, name, LONGEST_DESCRIPTION)


def _bytes(spot: Spot, name: str) -> int | None:
    return _whole(spot, f"{name} is not a whole number of bytes.", f"Write {name}: 37000000, or leave it out.")


def _number(spot: Spot, name: str) -> int | None:
    return _whole(spot, f"{name} is not a whole number.", f"Write {name}: 8, or leave it out.")


def _whole(spot: Spot, what: str, write: str) -> int | None:
    """A number in plain digits: other spellings mean to YAML what people do not expect (010 is 8)."""
    node = spot.node
    tag = node.tag.rpartition(":")[2] if isinstance(node, yaml.ScalarNode) else ""
    if tag == "null":
        return None
    digits = node.value.replace("_", "") if tag == "int" else ""
    if not (digits.isdecimal() and digits.isascii()) or (digits[0] == "0" and digits != "0"):
        raise spot.wrong(what, write)
    return int(digits)


def _transfer(spot: Spot, name: str) -> dict[str, Any]:
    """The fields of a `Transfer` that are written, each checked."""
    told: dict[str, Any] = {}
    for field, one in spot.table(f"{name} is not a table.", _PATTERNS).items():
        if field not in _TRANSFER:
            raise one.wrong(f"a transfer has no {field[:60]!r}.", f"Use one of {', '.join(_TRANSFER)}.")
        told[field] = _TRANSFER[field](one, field)
        try:
            Transfer(**{field: told[field]})
        except AlcError as error:
            raise one.wrong(error.sentence, error.next_step) from error
    return told


def _views(spot: Spot, name: str) -> tuple[View, ...]:
    """The views of a dataset, each checked."""
    return tuple(_view(one, view) for view, one in spot.table(f"{name} is not a table.", _VIEWS).items())


def _view(spot: Spot, name: str) -> View:
    fields = spot.table(f"the view {name[:60]!r} is not a table.", _VIEWS)
    for field, one in fields.items():
        if field not in _VIEW:
            raise one.wrong(f"a view has no {field[:60]!r}.", f"Use {' and '.join(_VIEW)}.")
    for field in _VIEW:
        if field not in fields:
            raise spot.wrong(f"the view {name[:60]!r} has no {field}.", _VIEWS)
    try:
        return View(name, **{field: _text(one, field) for field, one in fields.items()})
    except BadInput as error:
        raise fields.get(error.field, spot).wrong(error.sentence, error.next_step) from error


def _pattern(spot: Spot, name: str) -> Pattern:
    text = _text(spot, name)
    if text not in set(Pattern):
        raise spot.wrong(f"there is no pattern {text[:60]!r}.", f"Use one of {', '.join(Pattern)}.")
    return Pattern(text)


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
    "description": _description,
    "adapter": _text,
    "url": _text,
    "where": _line,
    "readers": _people,
    "writers": _people,
    "size_bytes": _bytes,
    "published": _yes_no,
    "labels": _labels,
    "credentials": _text,
    "archive": _text,
    "transfer": _transfer,
    "views": _views,
}
_VIEW: Final = ("of", "at")
_TRANSFER: Final[Mapping[str, Callable[[Spot, str], Any]]] = {
    "pattern": _pattern,
    "parallel": _number,
    "files": _number,
    "connections": _number,
    "bytes_per_second": _number,
    "fetch_by_list": _yes_no,
}


def url_part(user: str) -> str:
    """A user's name as one part of an address: itself where that is safe, else its collision-free short form."""
    safe = all(one.isascii() and (one.isalnum() or one in "-_@") for one in user)
    return user if user and safe and not looks_hashed(user) else slug(user)
