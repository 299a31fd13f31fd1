"""The page on which an HTTP server lists a folder: nginx's JSON, or links below a title that says index. Pure."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urljoin, urlsplit

from jupyter_alc.dms.adapters.answers import NotAnAnswer
from jupyter_alc.dms.adapters.interface import HIDDEN
from jupyter_alc.dms.adapters.versions import http_seconds, token_of
from jupyter_alc.dms.entry import Entry

if TYPE_CHECKING:
    from collections.abc import Iterable

_PAGES: Final = frozenset({"text/html", "application/xhtml+xml"})
_TITLES: Final = ("index of", "directory listing")


@dataclass(frozen=True, slots=True)
class Index:
    """What is told of a folder: `entries` with all attributes, `names` of files of which nothing else is."""

    entries: list[Entry]
    names: list[str]


def can_be_index(content_type: str) -> bool:
    """Say whether a page of this kind can be one."""
    return "json" in content_type or content_type in _PAGES


def index(text: bytes, content_type: str, at: str = "/", now: float = math.inf) -> Index:
    """Read the page of the folder at the encoded path `at`, as it was at `now` by the server's clock.

    `NotAnAnswer` for one that is no index.
    """
    if "json" in content_type:
        return Index(list(_from_json(text, now)), [])
    page = _Links()
    page.feed(text.decode(errors="surrogateescape"))
    if not page.title.strip().lower().startswith(_TITLES) or not page.ended:
        raise NotAnAnswer("not an index")
    names = dict.fromkeys(
        unquote(one, errors="surrogateescape") for one in (_below(at, link) for link in page.links) if one
    )
    good = [one for one in names if _is_name(one.rstrip("/"))]
    return Index(
        [folder_entry(one[:-1]) for one in good if one.endswith("/")], [one for one in good if not one.endswith("/")]
    )


def folder_entry(name: str) -> Entry:
    """A folder, of which HTTP tells no time and no version."""
    return Entry(name, "directory", 0, 0.0, '"folder"')


def _from_json(text: bytes, now: float) -> Iterable[Entry]:
    try:
        told = json.loads(text.decode(errors="surrogateescape"))
        for one in told:
            if not _is_name(one["name"]):
                continue
            if one["type"] == "directory":
                yield folder_entry(one["name"])
            elif one["type"] == "file":
                size, modified = int(one["size"]), http_seconds(one["mtime"])
                yield Entry(one["name"], "file", size, modified, token_of("", modified, size, now))
    except (ValueError, TypeError, KeyError) as error:
        raise NotAnAnswer("not nginx's index") from error


def _below(at: str, link: str) -> str:
    """The encoded name that a link means; "" for one that leads elsewhere (sorting, the parent, the web)."""
    parts = urlsplit(link)
    path = urljoin(at, parts.path)
    elsewhere = parts.scheme or parts.netloc or parts.query or not parts.path or not path.startswith(at)
    inside = path[len(at) :]
    return "" if elsewhere or "/" in inside.rstrip("/") else inside


def _is_name(name: str) -> bool:
    return bool(name) and name not in {".", ".."} and not name.startswith(HIDDEN) and "/" not in name


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.title, self.links, self._in_title, self.ended = "", list[str](), False, False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._in_title = tag == "title"
        self.links += [value for name, value in attrs if tag == "a" and name == "href" and value]

    def handle_endtag(self, tag: str) -> None:
        self._in_title = False
        self.ended = self.ended or tag == "html"

    def handle_data(self, data: str) -> None:
        if self._in_title:
            self.title += data
