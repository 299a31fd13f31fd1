"""How long requests took, counted as Prometheus counts times."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

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


def cumulated(latency: Latency) -> Sequence[tuple[str, float]]:
    """(upper bound, how many took at most so long), as Prometheus wants its buckets."""
    bounds = [*(str(bound) for bound in BOUNDS), "+Inf"]
    so_far, told = 0, []
    for bound, count in zip(bounds, latency.counts, strict=True):
        so_far += count
        told.append((bound, float(so_far)))
    return told
