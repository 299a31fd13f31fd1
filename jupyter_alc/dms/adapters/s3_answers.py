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
from jupyter_alc.dms.adapters.statuses import busy, error_of
from jupyter_alc.dms.entry import Entry

if TYPE_CHECKING:
    from jupyter_alc.core.errors import AlcError

_ABSENT: Final = frozenset({"NoSuchKey", "NoSuchBucket"})
_BUSY: Final = frozenset({"SlowDown", "ServiceUnavailable", "RequestTimeout"})
_KEYS: Final = frozenset({"ExpiredToken", "InvalidToken", "TokenRefreshRequired", "InvalidAccessKeyId"})

_NOT_XML: Final = re.compile(rb"&#x0*(?:[0-8bcef]|1[0-9a-f]);", re.IGNORECASE)
"""What no XML may hold, and yet stands in the prefix that Ceph repeats; keys are encoded."""


@dataclass(frozen=True, slots=True)
class Page:
    """Some names of a folder; `more` continues the listing, "" ends it; `keys` counts what lies there at all."""

    entries: list[Entry]
    more: str
    keys: int


def page(text: bytes, folder: str) -> Page:
    """Read a ListObjectsV2 answer with `delimiter=/` and `encoding-type=url` for the key prefix `folder`."""
    root = guarded(_NOT_XML.sub(b"", text))
    if root.tag.rpartition("}")[2] != "ListBucketResult":
        raise NotAnAnswer("not a listing")
    space = root.tag[: root.tag.rfind("}") + 1]
    cut, entries, keys = len(folder), list[Entry](), 0
    for one in root.iter(f"{space}Contents"):
        key, keys = unquote_plus(one.findtext(f"{space}Key") or "", errors="surrogateescape"), keys + 1
        if not key.startswith(folder):
            raise NotAnAnswer("a listing of another folder")
        if is_name(key[cut:]):  # not so: the folder's own marker
            etag = one.findtext(f"{space}ETag") or ""
            size, modified = int(one.findtext(f"{space}Size") or -1), _moment(one.findtext(f"{space}LastModified"))
            if not etag or size < 0:
                raise NotAnAnswer("an object without its attributes")
            entries.append(Entry(key[cut:], "file", size, modified, quoted(etag)))
    for one in root.iter(f"{space}CommonPrefixes"):
        key, keys = unquote_plus(one.findtext(f"{space}Prefix") or "", errors="surrogateescape"), keys + 1
        if is_name(key[cut:-1]):
            entries.append(folder_entry(key[cut:-1]))
    truncated = root.findtext(f"{space}IsTruncated") == "true"
    more = (root.findtext(f"{space}NextContinuationToken") or "") if truncated else ""
    if truncated and not more:
        raise NotAnAnswer("a listing without its end")
    return Page(entries, more, keys)


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
    """Say whether a part of a key can be the name of a file or folder here."""
    return (
        0 < len(name.encode(errors="surrogateescape")) <= 255
        and name not in {".", ".."}
        and not name.startswith(HIDDEN)
        and not set(name) & {"/", "\0"}
    )


def quoted(etag: str) -> str:
    """Some servers forget the quotes."""
    return etag if etag.endswith('"') else f'"{etag}"'


def error_from(status: int, verb: str, path: str, body: bytes) -> AlcError:
    """What an answer that was not wanted means; only S3 itself can say that something is not there."""
    code = _code(body)
    if status == 404 and code not in _ABSENT:
        return AnsweredBadly("The archive's answer is not S3.", next_step="Check the dataset's url in the catalogue.")
    if code == "NoSuchBucket":
        return FileNotThere("The bucket is not in the archive.", next_step="Check the dataset's url in the catalogue.")
    if code in _KEYS:
        return Denied("The archive does not accept the credentials.", next_step="Renew them.", field="credentials")
    if code in _BUSY:
        return busy()
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
