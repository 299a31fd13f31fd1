"""How long requests take together. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from jupyter_alc.dms.engine.line import Line

_SMALL: Final = 256 * 1024  # larger answers tell how fast the line is
_ENOUGH: Final = 20  # files of a transfer that tell how long one takes


@dataclass(frozen=True, slots=True)
class Work:
    """What this computer does for each file beside waiting for its bytes; learned from transfers of small files."""

    file_seconds: float = 0.0012
    known: bool = False

    def seen(self, files: int, moved_bytes: int, seconds: float, worked: float) -> Work:
        """As it is after a transfer moved so many files in so many seconds, of which the processor `worked` some.

        One that waited for its line more than it worked tells nothing of the work.
        """
        if files < _ENOUGH or moved_bytes > files * _SMALL or worked < seconds / 2:
            return self
        took = seconds / files
        return replace(self, file_seconds=(self.file_seconds + took) / 2 if self.known else took, known=True)


@dataclass(slots=True)
class Plan:
    """What bringing some files would take; filled file by file."""

    files: int = 0
    size_bytes: int = 0
    cached_bytes: int = 0
    move_bytes: int = 0
    requests: int = 0
    largest: int = 0

    def add(self, size: int, cached: int, requests: Iterable[int]) -> None:
        """One file more, with the bytes of each request that it needs."""
        self.files += 1
        self.size_bytes += size
        self.cached_bytes += cached
        for one in requests:
            self.requests += 1
            self.move_bytes += one
            self.largest = max(self.largest, one)

    def seconds(self, line: Line, work: Work, connections: int, bytes_per_second: float | None) -> float | None:
        """The time, `connections` requests at once on `line`; None while that was not measured for such requests."""
        if not self.requests:
            return 0.0
        known = line.rate_known if self.largest > _SMALL else line.latency_known
        if not known:
            return None
        latency = line.latency_seconds if line.latency_known else 0.0
        size = self.move_bytes / self.requests
        took = self.requests / _requests_a_second(latency, size / line.bytes_per_second, connections)
        took = max(took, self.files * work.file_seconds)
        return took if bytes_per_second is None else max(took, self.move_bytes / bytes_per_second)

    def as_json(self, path: str, seconds: float | None) -> dict[str, object]:
        """The form of `GET /v1/plan`."""
        return {
            "path": path,
            "files": self.files,
            "size_bytes": self.size_bytes,
            "cached_bytes": self.cached_bytes,
            "move_bytes": self.move_bytes,
            "requests": self.requests,
            "seconds": None if seconds is None else round(seconds, 3),
        }


def _requests_a_second(latency: float, moving: float, connections: int) -> float:
    """The rate of `connections` askers: each waits `latency` alone, then `moving` seconds' worth of the shared line.

    Exact for one shared line whose answers vary in length (mean value analysis).
    """
    queue, rate = 0.0, 0.0
    for askers in range(1, connections + 1):
        stay = moving * (1 + queue)
        rate = askers / max(latency + stay, 1e-9)
        queue = rate * stay
    return rate
