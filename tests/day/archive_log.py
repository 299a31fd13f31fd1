"""What the archive's own log says was asked of it and how many bytes it sent."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Asked:
    """One request."""

    method: str
    path: str
    status: int
    sent: int
    received: int
    user: str


@dataclass(frozen=True, slots=True)
class ArchiveLog:
    """The log file of the example archive, read from a mark on."""

    file: Path

    def mark(self) -> int:
        """Say how far the log goes now."""
        return self.file.stat().st_size if self.file.exists() else 0

    def since(self, mark: int) -> list[Asked]:
        """Every request that was answered after `mark`."""
        if not self.file.exists():
            return []
        with self.file.open("rb") as log:
            log.seek(mark)
            lines = [json.loads(line) for line in log if line.endswith(b"\n")]
        return [
            Asked(
                method=line["method"],
                path=unquote(line["path"]),
                status=int(line["status"]),
                sent=int(line["bytes_sent"] or 0),
                received=int(line["bytes_received"] or 0),
                user=str(line["user"] or ""),
            )
            for line in lines
        ]


def moved(asked: list[Asked], method: str, part: str = "") -> int:
    """Bytes the archive sent for requests of `method` whose path holds `part`."""
    return sum(one.sent for one in asked if one.method == method and part in one.path)
