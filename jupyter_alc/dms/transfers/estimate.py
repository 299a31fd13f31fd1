"""How long requests take together. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil
from typing import TYPE_CHECKING, Final

from jupyter_alc.dms.engine.line import SMALL, nearer_its_best

if TYPE_CHECKING:
    from collections.abc import Iterable

    from jupyter_alc.dms.engine.line import Line

_ENOUGH: Final = 20  # files of a transfer that tell how long one takes


@dataclass(frozen=True, slots=True)
class Work:
    """What this computer does beside waiting for bytes, for each file and for a transfer; learned from transfers.

    Those of many small files tell what one file takes, those of few files what a transfer takes: its steps before the
    first request and after the last byte.
    """

    file_seconds: float = 0.0012
    known: bool = False
    own_seconds: float = 0.0

    def seen(self, files: int, moved_bytes: int, seconds: float, worked: float) -> Work:
        """As it is after a transfer moved so many files in so many seconds, of which the processor `worked` some.

        One that waited for its line more than it worked tells nothing of the work.
        """
        if files < _ENOUGH or moved_bytes > files * SMALL or worked < seconds / 2:
            return self
        took = seconds / files
        return replace(self, file_seconds=(self.file_seconds + took) / 2 if self.known else took, known=True)

    def stepped(self, files: int, seconds: float) -> Work:
        """As it is after a transfer of so many files took so many seconds for its own steps."""
        if files >= _ENOUGH:
            return self
        return replace(self, own_seconds=nearer_its_best(self.own_seconds, seconds) if self.own_seconds else seconds)


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
        known = line.rate_known if self.largest > SMALL else line.latency_known
        if not known:
            return None
        took = self._requests_take(line, work, connections)
        if bytes_per_second is not None:
            took = max(took, self.move_bytes / bytes_per_second)
        return took + work.own_seconds

    def _requests_take(self, line: Line, work: Work, connections: int) -> float:
        latency = line.latency_seconds if line.latency_known else 0.0
        askers, size = min(connections, self.requests), self.move_bytes / self.requests
        own, shared = latency + size * line.own_byte_seconds, size * line.shared_byte_seconds
        busy = self.files * work.file_seconds
        longest = latency + self.largest * (line.own_byte_seconds + line.shared_byte_seconds)
        return max(
            self.requests / _requests_a_second(own, (shared, busy / self.requests), askers),
            own + self.requests * shared,  # the line is idle at first, and full from then on
            ceil(self.requests / askers) * (own + shared),  # the last ones have it to themselves
            longest,
        )

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


def _requests_a_second(own: float, shared: tuple[float, ...], askers: int) -> float:
    """The rate of so many askers: each takes `own` seconds whatever the others do, and those of each thing `shared`.

    Exact where what is shared serves one after the other, for times that vary in length (mean value analysis).
    """
    rate = 0.0
    queues = [0.0] * len(shared)
    for number in range(1, askers + 1):
        stays = [seconds * (1 + queue) for seconds, queue in zip(shared, queues, strict=True)]
        rate = number / max(own + sum(stays), 1e-9)
        queues = [rate * stay for stay in stays]
    return rate
