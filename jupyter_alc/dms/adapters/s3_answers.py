"""S3's XML: one page of a listing as names in a folder, and what an error's code says. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote_plus

from jupyter_alc.core.errors import ArchiveUnreachable, Denied, FileNotThere
from jupyter_alc.dms.adapters.answers import NotAnAnswer, guarded
from jupyter_alc.dms.adapters.interface import HIDDEN, AnsweredBadly
from jupyter_alc.dms.adapters.statuses import archive_is_full, busy, error_of
from jupyter_alc.dms.entry import Entry

if TYPE_CHECKING:
    from collections.abc import Iterator
    from xml.etree.ElementTree import Element

    from jupyter_alc.core.errors import AlcError

_ABSENT: Final = frozenset({"NoSuchKey", "NoSuchBucket"})
_BUSY: Final = frozenset(
    {"SlowDown", "ServiceUnavailable", "RequestTimeout", "OperationAborted", "ConditionalRequestConflict"}
)
_FULL: Final = frozenset({"QuotaExceeded"})
_DAMAGED: Final = frozenset({"BadDigest", "IncompleteBody"})
_KEYS: Final = frozenset(
    {"ExpiredToken", "InvalidToken", "TokenRefreshRequired", "InvalidAccessKeyId", "SignatureDoesNotMatch"}
)

_NOT_XML: Final = re.compile(rb"&#x0*(?:[0-8bcef]|1[0-9a-f]);", re.IGNORECASE)
"""What no XML may hold, and yet stands in the prefix that Ceph repeats; keys are encoded."""


@dataclass(frozen=True, slots=True)
class Page:
    """Some names of a folder; `more` continues the listing, "" ends it; `keys` counts what lies there at all.

    `marked`: the folder's own marker is among them.
    """

    entries: list[Entry]
    more: str
    keys: int
    marked: bool = False


def page(text: bytes, folder: str) -> Page:
    """Read a ListObjectsV2 answer with `delimiter=/` and `encoding-type=url` for the key prefix `folder`."""
    root, space = _listing(text)
    entries, keys, marked = list[Entry](), 0, False
    for name, one in _named(root, f"{space}Contents", f"{space}Key", folder):
        keys += 1
        marked = marked or not name
        if is_name(name):
            entries.append(_file(name, one, space))
    for name, _ in _named(root, f"{space}CommonPrefixes", f"{space}Prefix", folder):
        keys += 1
        if is_name(name[:-1]):
            entries.append(folder_entry(name[:-1]))
    return Page(entries, _more(root, space), keys, marked)


@dataclass(frozen=True, slots=True)
class At:
    """What is at a key: the `file`, and whether keys lie below; None: the answer ended before it told."""

    file: Entry | None
    folder: bool | None


def at(text: bytes, key: str) -> At:
    """Read a ListObjectsV2 answer with `delimiter=/` for the prefix `key`, of which it is the first.

    Between it and what lies below there may be others (`a-1` between `a` and `a/`).
    """
    root, space = _listing(text)
    name = key.rpartition("/")[2]
    told = list(_named(root, f"{space}Contents", f"{space}Key", key))
    below = [rest for rest, _ in _named(root, f"{space}CommonPrefixes", f"{space}Prefix", key)]
    file = next((_file(name, one, space) for rest, one in told if not rest), None)
    reached = max([*below, *(rest for rest, _ in told)], default="")
    whole = not _more(root, space) or reached > "/"
    return At(file, True if "/" in below else False if whole else None)


def objects(text: bytes, prefix: str) -> tuple[dict[str, Entry], str]:
    """Read a ListObjectsV2 answer without delimiter: every object by its key, and what continues the listing."""
    root, space = _listing(text)
    told = _named(root, f"{space}Contents", f"{space}Key", prefix)
    return {prefix + name: _file(name, one, space) for name, one in told}, _more(root, space)


def _listing(text: bytes) -> tuple[Element, str]:
    root = guarded(_NOT_XML.sub(b"", text))
    if root.tag.rpartition("}")[2] != "ListBucketResult":
        raise NotAnAnswer("not a listing")
    return root, root.tag[: root.tag.rfind("}") + 1]


def _named(root: Element, kind: str, name: str, prefix: str) -> Iterator[tuple[str, Element]]:
    for one in root.iter(kind):
        key = unquote_plus(one.findtext(name) or "", errors="surrogateescape")
        if not key.startswith(prefix):
            raise NotAnAnswer("a listing of another folder")
        yield key[len(prefix) :], one


def _file(name: str, one: Element, space: str) -> Entry:
    etag = one.findtext(f"{space}ETag") or ""
    size, modified = int(one.findtext(f"{space}Size") or -1), _moment(one.findtext(f"{space}LastModified"))
    if not etag or size < 0:
        raise NotAnAnswer("an object without its attributes")
    return Entry(name, "file", size, modified, quoted(etag))


def _more(root: Element, space: str) -> str:
    if root.findtext(f"{space}IsTruncated") != "true":
        return ""
    more = root.findtext(f"{space}NextContinuationToken") or ""
    if not more:
        raise NotAnAnswer("a listing without its end")
    return more


def folder_entry(name: str) -> Entry:
    """Folders are made out of keys: they have no time, and no version."""
    return Entry(name, "directory", 0, 0.0, '"folder"')


def settled(waiting: list[Entry], told: Page) -> tuple[list[Entry], list[Entry]]:
    """What can be shown after this page, and which files wait for the next.

    A folder `a` hides a file `a`; between their keys `a` and `a/` others sort (`a-1`), so it may come a page later.
    """
    folders = {one.name for one in told.entries if one.is_folder}
    shown = [one for one in (*waiting, *told.entries) if one.is_folder or one.name not in folders]
    if not told.more:
        return shown, []
    reached = max((f"{one.name}/" if one.is_folder else one.name for one in told.entries), default="")
    wait = {one.name for one in shown if not one.is_folder and reached < f"{one.name}/"}
    return [one for one in shown if one.name not in wait], [one for one in shown if one.name in wait]


def is_name(name: str) -> bool:
    """Say whether a part of a key can be the name of a file or folder here, and is shown."""
    return can_be_name(name) and not name.startswith(HIDDEN)


def can_be_name(name: str) -> bool:
    """Say whether a part of a key can be a name here, be it that of an upload on its way."""
    size = len(name.encode(errors="surrogateescape"))
    return 0 < size <= 255 and name not in {".", ".."} and not set(name) & {"/", "\0"}


def quoted(etag: str) -> str:
    """Some servers forget the quotes."""
    return etag if etag.endswith('"') else f'"{etag}"'


def error_from(status: int, verb: str, path: str, body: bytes) -> AlcError:
    """What an answer that was not wanted means; only S3 itself can say that something is not there."""
    code = _code(body)
    if status == 404 and code not in _ABSENT:
        return AnsweredBadly("The archive's answer is not S3.", next_step="Check the dataset's url in the catalogue.")
    if code == "NoSuchBucket":
        cure = "Check the dataset's url in the catalogue."
        return FileNotThere("The bucket is not in the archive.", next_step=cure, field="url")
    if code in _KEYS:
        return Denied("The archive does not accept the credentials.", next_step="Renew them.", field="credentials")
    if code in _BUSY:
        return busy()
    if code in _FULL:
        return archive_is_full()
    if code in _DAMAGED:
        return AnsweredBadly("What was sent arrived damaged.", next_step="It is sent again by itself.")
    if status in {301, 307}:
        return ArchiveUnreachable(
            "The bucket is elsewhere.", next_step="Check endpoint and region in the dataset's url in the catalogue."
        )
    return error_of(status, verb, path)


def _code(body: bytes) -> str:
    try:
        root = guarded(body)
    except NotAnAnswer:
        return ""
    return (root.findtext("{*}Code") or "").strip() if root.tag.rpartition("}")[2] == "Error" else ""


def _moment(text: str | None) -> float:
    """Whole seconds, as HEAD tells them."""
    try:
        told = datetime.fromisoformat(text or "")
    except ValueError:
        return 0.0
    return float(int((told if told.tzinfo else told.replace(tzinfo=UTC)).timestamp()))
