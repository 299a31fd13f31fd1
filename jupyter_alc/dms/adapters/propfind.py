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
    """One resource of an answer; `path` is decoded, without the slash at a folder's end."""

    path: str
    folder: bool
    size: int
    modified: float
    etag: str


def parse(text: bytes) -> list[Found]:
    """Read a multistatus answer."""
    root = guarded(text)
    if root.tag != f"{_DAV}multistatus":
        raise NotAnAnswer("not a multistatus")
    return list(_found(root))


def _found(root: ElementTree.Element) -> Iterator[Found]:
    for response in root.iter(f"{_DAV}response"):
        href = response.findtext(f"{_DAV}href")
        properties = _good_properties(response)
        if href is None or properties is None:
            continue
        kind = properties.find(f"{_DAV}resourcetype")
        yield Found(
            path=unquote(urlsplit(href.strip()).path).rstrip("/"),
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


def _whole(text: str | None) -> int:
    return int(text) if text and text.strip().isdigit() else 0


def _quoted(etag: str) -> str:
    """Some servers forget the quotes here that they send in the ETag header."""
    return f'"{etag}"' if etag and not etag.endswith('"') else etag
