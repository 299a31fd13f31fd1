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


def without_secrets(url: str) -> str:
    """An address, or a chain of them, as a message may tell it: no users, passwords, queries and fragments."""
    return "::".join(_without_secrets(one) for one in url.split("::"))


def _without_secrets(url: str) -> str:
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", "")) if parts.netloc else url
