"""WebDAV's XML: what we ask for, and what we accept as an answer. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

from jupyter_alc.dms.adapters.answers import NotAnAnswer, guarded
from jupyter_alc.dms.adapters.versions import http_seconds

if TYPE_CHECKING:
    from collections.abc import Iterator
    from xml.etree import ElementTree

REQUEST: Final = (
    b'<?xml version="1.0"?><propfind xmlns="DAV:"><prop>'
    b"<resourcetype/><getcontentlength/><getlastmodified/><getetag/></prop></propfind>"
)
_DAV: Final = "{DAV:}"


@dataclass(frozen=True, slots=True)
class Found:
    """One resource of an answer; `path` is decoded, without the slash at a folder's end.

    `status` is 200, or why the server tells nothing of it. `size` is None where it is not told.
    """

    path: str
    folder: bool
    size: int | None
    modified: float
    etag: str
    status: int = 200


def parse(text: bytes) -> list[Found]:
    """Read a multistatus answer."""
    root = guarded(text)
    if root.tag != f"{_DAV}multistatus":
        raise NotAnAnswer("not a multistatus")
    return list(_found(root))


def _found(root: ElementTree.Element) -> Iterator[Found]:
    for response in root.iter(f"{_DAV}response"):
        href = response.findtext(f"{_DAV}href")
        if href is None:
            continue
        path = unquote(urlsplit(href.strip()).path, errors="surrogateescape").rstrip("/")
        properties = _good_properties(response)
        if properties is None:
            yield Found(path, folder=False, size=None, modified=0.0, etag="", status=_status(response))
            continue
        kind = properties.find(f"{_DAV}resourcetype")
        yield Found(
            path=path,
            folder=kind is not None and kind.find(f"{_DAV}collection") is not None,
            size=_whole(properties.findtext(f"{_DAV}getcontentlength")),
            modified=http_seconds(properties.findtext(f"{_DAV}getlastmodified")),
            etag=_quoted((properties.findtext(f"{_DAV}getetag") or "").strip()),
        )


def _good_properties(response: ElementTree.Element) -> ElementTree.Element | None:
    for one in response.iter(f"{_DAV}propstat"):
        if " 200 " in f"{one.findtext(f'{_DAV}status')} ":
            return one.find(f"{_DAV}prop")
    return None


def _status(response: ElementTree.Element) -> int:
    """Why nothing is told of a resource; where properties are not there (404), the resource may well be."""
    of_itself = response.findtext(f"{_DAV}status")
    told = [of_itself] if of_itself else [one.findtext(f"{_DAV}status") for one in response.iter(f"{_DAV}propstat")]
    numbers = [int(part[1]) for part in ((text or "").split() for text in told) if len(part) > 1 and part[1].isdigit()]
    worst = max(numbers, default=500)
    return 500 if worst == 404 and not of_itself else worst


def _whole(text: str | None) -> int | None:
    return int(text) if text and text.strip().isdigit() else None


def _quoted(etag: str) -> str:
    """Some servers forget the quotes here that they send in the ETag header."""
    return f'"{etag}"' if etag and not etag.endswith('"') else etag
