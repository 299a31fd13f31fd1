"""The address of a file in its archive, as people write it: without credentials. Pure."""

from __future__ import annotations

from typing import Final
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

_SHOWN: Final = frozenset({"endpoint", "region"})


def address_of(url: str, path: str) -> str:
    """Where `path` of the dataset at `url` is; names that are no text are written by their bytes."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    tail = quote(path.encode(errors="surrogateescape"), safe="/")
    top = parts.path.rstrip("/")
    asked = urlencode([one for one in parse_qsl(parts.query) if one[0] in _SHOWN], safe=":/")
    return urlunsplit((parts.scheme or "file", host, f"{top}/{tail}" if tail else top, asked, ""))
