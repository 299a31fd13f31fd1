"""What the operator's metrics are made of (S7): counts since the start, by adapter, and of the cache."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from jupyter_alc.dms.engine.cache import Counts
    from jupyter_alc.dms.engine.link import Link

BOUNDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper bounds of the times of requests that are counted together, in seconds."""


@dataclass(slots=True)
class Latency:
    """How long requests took: `counts` for each of `BOUNDS` and beyond, and the seconds of all."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))
    seconds: float = 0.0

    def seen(self, seconds: float) -> None:
        """Count one request."""
        self.counts[bisect_left(BOUNDS, seconds)] += 1
        self.seconds += seconds

    def with_those_of(self, other: Latency) -> Latency:
        """Both together."""
        counts = [mine + theirs for mine, theirs in zip(self.counts, other.counts, strict=True)]
        return Latency(counts, self.seconds + other.seconds)


@dataclass(slots=True)
class OfAdapter:
    """The datasets of one adapter together."""

    needed_bytes: int = 0
    moved_bytes: int = 0
    requests: int = 0
    unreachable: int = 0
    latency: Latency = field(default_factory=Latency)


@dataclass(frozen=True, slots=True)
class Measures:
    """All of it."""

    adapters: dict[str, OfAdapter]
    reads: Counts
    cache_bytes: int
    quota_bytes: int
    readers: int


def by_adapter(links: Iterable[Link]) -> dict[str, OfAdapter]:
    """The sums of the datasets of each adapter."""
    told: defaultdict[str, OfAdapter] = defaultdict(OfAdapter)
    for link in links:
        one = told[link.dataset.adapter]
        one.needed_bytes += link.needed_bytes
        one.moved_bytes += link.moved_bytes
        one.requests += link.requests
        one.unreachable += not link.reachable
        one.latency = one.latency.with_those_of(link.latency)
    return dict(told)


def cumulated(latency: Latency) -> Sequence[tuple[str, float]]:
    """(upper bound, how many took at most so long), as Prometheus wants its buckets."""
    bounds = [*(str(bound) for bound in BOUNDS), "+Inf"]
    so_far, told = 0, []
    for bound, count in zip(bounds, latency.counts, strict=True):
        so_far += count
        told.append((bound, float(so_far)))
    return told
