"""What an archive's own log says was asked of it and how many bytes it sent."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import parse_qs, unquote, urlsplit


class Kind(StrEnum):
    """What a request wants."""

    LISTING = "listing"
    READ = "read"
    LOOK = "look"
    WRITE = "write"


@dataclass(frozen=True, slots=True)
class Asked:
    """One request; `prefix` is what an S3 listing was asked for."""

    kind: Kind
    path: str
    status: int
    sent: int
    prefix: str = ""


_WEBDAV = {"PROPFIND": Kind.LISTING, "GET": Kind.READ, "HEAD": Kind.LOOK, "OPTIONS": Kind.LOOK}
_GATEWAY = re.compile(r'beast: .*? "(?P<method>[A-Z]+) (?P<url>\S+) HTTP/1\.1" (?P<status>\d+) (?P<sent>\d+) ')


def embedded_line(line: str) -> Asked:
    """Read a line of the embedded archive's log."""
    told = json.loads(line)
    kind = _WEBDAV.get(told["method"], Kind.WRITE)
    return Asked(kind, unquote(told["path"]), int(told["status"]), int(told["bytes_sent"] or 0))


def gateway_line(line: str) -> Asked | None:
    """Read a line of the log of Ceph's gateway; None for one that tells of no request."""
    told = _GATEWAY.search(line)
    if told is None:
        return None
    parts = urlsplit(told["url"])
    query = parse_qs(parts.query)
    kind = {"GET": Kind.READ, "HEAD": Kind.LOOK}.get(told["method"], Kind.WRITE)
    if told["method"] == "GET" and "list-type" in query:
        kind = Kind.LISTING
    prefix = query.get("prefix", [""])[0]
    return Asked(kind, unquote(parts.path), int(told["status"]), int(told["sent"]), prefix)


def moved(asked: list[Asked], kind: Kind, part: str = "") -> int:
    """Bytes the archive sent for requests of this kind whose path holds `part`."""
    return sum(one.sent for one in asked if one.kind is kind and part in one.path)
