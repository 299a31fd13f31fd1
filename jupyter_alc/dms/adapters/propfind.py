"""WebDAV's XML: what we ask for, and what we accept as an answer. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit
from xml.etree import ElementTree
from xml.parsers import expat

from jupyter_alc.dms.tokens import unsettled

if TYPE_CHECKING:
    from collections.abc import Iterator

REQUEST: Final = (
    b'<?xml version="1.0"?><propfind xmlns="DAV:"><prop>'
    b"<resourcetype/><getcontentlength/><getlastmodified/><getetag/></prop></propfind>"
)
_DAV: Final = "{DAV:}"
_STEP_SECONDS: Final = 2.0
MADE: Final = '"time-'
"""How a token begins that we made, of time and size, for an archive that tells no ETag."""


class NotAnAnswer(ValueError):
    """The text is not a multistatus answer that we accept."""


@dataclass(frozen=True, slots=True)
class Found:
    """One resource of an answer; `path` is decoded, without the slash at a folder's end."""

    path: str
    folder: bool
    size: int
    modified: float
    etag: str


def parse(text: bytes) -> list[Found]:
    """Read a multistatus answer; document types and entities are refused, as nothing honest needs them."""
    builder = ElementTree.TreeBuilder()
    parser = ElementTree.XMLParser(target=builder)  # noqa: S314  (guarded by the next line)
    inner = expat.ParserCreate()
    inner.StartDoctypeDeclHandler = _refuse
    try:
        inner.Parse(text, True)
        parser.feed(text)
        root = parser.close()
    except (expat.ExpatError, ElementTree.ParseError) as error:
        raise NotAnAnswer("broken XML") from error
    if root.tag != f"{_DAV}multistatus":
        raise NotAnAnswer("not a multistatus")
    return list(_found(root))


def _refuse(*_: object) -> None:
    raise NotAnAnswer("a document type")


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
            modified=_seconds(properties.findtext(f"{_DAV}getlastmodified")),
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


def _seconds(text: str | None) -> float:
    """WebDAV's time, whole seconds; 0 when there is none."""
    try:
        return parsedate_to_datetime(text).timestamp() if text else 0.0
    except ValueError:
        return 0.0


def is_weak(etag: str, modified: float) -> bool:
    """Say whether `etag` is no better than a time in whole seconds: absent, declared weak, or made from that time."""
    if not etag or etag.startswith("W/"):
        return True
    second = int(modified)
    parts = etag.strip('"').replace(":", "-").split("-")
    return second > 0 and (str(second) in parts or f"{second:x}" in [part.lower() for part in parts])


def token_of(etag: str, modified: float, size: int, now: float) -> str:
    """The version token of what was seen at `now` (the server's clock, where it told)."""
    token = etag if etag else f'{MADE}{int(modified)}-{size}"'
    if is_weak(etag, modified) and now - modified < _STEP_SECONDS:
        return unsettled(token, now)
    return token


def server_time(date: str | None) -> float:
    """The server's clock by its Date header, else ours."""
    told = _seconds(date)
    return told or datetime.now(UTC).timestamp()
