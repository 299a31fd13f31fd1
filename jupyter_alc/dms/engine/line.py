"""The way to one archive: how long its answer takes, how many bytes a second it brings. Pure: samples in, figures out.

Both figures are decayed averages in which one sample counts for little, since samples lie: a request that waited in
the server's queue looks like latency, one of eight side by side looks like an eighth of the line, one stall looks like
the end of the world. So

- latency comes from small answers, less the time their bytes took. It follows a better sample half of the way and a
  worse one an eighth of it: what disturbs a measurement only ever adds.
- bytes per second come from large answers, less their share of the latency, times the requests that shared the line
  meanwhile, on average over their time. They follow a quarter of the way, measured in factors.
- no sample counts for more than twice, or less than half, of what was believed before it; the first ones are believed.

How long some requests will take together is another question: one connection seldom brings what the line can. So the
seconds of each byte are kept for answers that had the line to themselves, and for those that shared it. These are plain
means, since it is the sum of the times that a plan tells.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

SMALL: Final = 256 * 1024  # up to here an answer tells latency, from here on bandwidth
_SOON: Final = 1e-5
_HOLE: Final = 1024 * 1024
_BY_ITSELF: Final = 1.5  # requests at once, on average: with fewer an answer had the line to itself
_COUNTED: Final = 8.0
_ONE: Final = 4 * 1024 * 1024  # the bytes that count for one sample of a mean


@dataclass(frozen=True, slots=True)
class Mean:
    """A mean of samples by their weight, in which what lies behind more than 8 fades. No stall counts in full."""

    value: float = 0.0
    weight: float = 0.0

    def with_one(self, sample: float, weight: float = 1.0) -> Mean:
        """The mean after one more."""
        if self.weight:
            sample = min(sample, self.value * 2)
        both = min(self.weight + weight, max(_COUNTED, weight))
        return Mean(self.value + (sample - self.value) * weight / both, both)

    def at_most(self, other: Mean) -> Mean:
        """The same, no larger than what was seen since, where that is a whole sample."""
        return replace(self, value=min(self.value, other.value)) if other.weight >= 1 else self

    def at_least(self, other: Mean) -> Mean:
        """The same, no smaller than that."""
        return replace(self, value=max(self.value, other.value)) if other.weight >= 1 and self.weight else self


@dataclass(frozen=True, slots=True)
class Line:
    """What is believed of a line; the figures before the first sample are those of a facility's own network."""

    latency_seconds: float = 0.005
    bytes_per_second: float = 64.0 * 1024 * 1024
    parallel: int = 8
    latency_known: bool = False
    rate_known: bool = False
    by_itself: Mean = Mean()
    shared: Mean = Mean()

    def seen(self, size: int, seconds: float, beside: float = 1.0) -> Line:
        """The line after an answer of `size` bytes took `seconds`, with `beside` requests (itself too) under way."""
        if size <= 0:
            return self
        seconds = max(seconds, _SOON)
        if size <= SMALL:
            latency = max(seconds - size / self.bytes_per_second, _SOON) if self.rate_known else seconds
            if self.latency_known:
                latency = nearer_its_best(self.latency_seconds, latency)
            return replace(self, latency_seconds=latency, latency_known=True)
        beside = max(beside, 1.0)  # while one waits for its answer the others move: the line rests for a share of it
        pure = max(seconds - (self.latency_seconds / beside if self.latency_known else 0.0), seconds / 4)
        rate = size * beside / pure
        if self.rate_known:
            rate = _toward(self.bytes_per_second, rate, 0.25)
        return replace(self._timed(size, seconds, beside), bytes_per_second=rate, rate_known=True)

    @property
    def shared_byte_seconds(self) -> float:
        """How long the line is busy with one byte."""
        if self.shared.weight:
            return self.shared.value
        return self.by_itself.value if self.by_itself.weight else 1 / self.bytes_per_second

    @property
    def own_byte_seconds(self) -> float:
        """How much longer one byte takes however free the line is; 0 until a request had it to itself."""
        return max(self.by_itself.value - self.shared_byte_seconds, 0.0)

    @property
    def reach(self) -> int:
        """The bytes that come in two latencies, one to ask in and one to be heard in; 0 until both are known."""
        known = self.latency_known and self.rate_known
        return int(2 * self.latency_seconds * self.bytes_per_second) if known else 0

    @property
    def hole(self) -> int:
        """The bytes that cost as much as one request more, while as many run as are welcome; at most 1 MiB."""
        return min(int(self.latency_seconds * self.bytes_per_second / self.parallel), _HOLE)

    def _timed(self, size: int, seconds: float, beside: float) -> Line:
        latency = self.latency_seconds if self.latency_known else 0.0
        if beside < _BY_ITSELF:
            pure = max(seconds - latency, seconds / 4)
            by_itself = self.by_itself.with_one(pure / size, size / _ONE)
            return replace(self, by_itself=by_itself, shared=self.shared.at_most(by_itself))
        free = seconds - latency - size * self.own_byte_seconds  # what it took of a line that was never full
        pure = min(max(free, seconds / 4), seconds / beside)
        shared = self.shared.with_one(pure / size, size / _ONE)
        return replace(self, shared=shared, by_itself=self.by_itself.at_least(shared))


class Busy:
    """How many requests are under way, over time: the mean between two moments is the difference by the seconds."""

    def __init__(self) -> None:
        self._count, self._at, self._sum = 0, 0.0, 0.0

    def change(self, now: float, by: int) -> float:
        """Begin (1) or end (-1) a request; the seconds of all requests together until `now`."""
        self._sum += self._count * (now - self._at)
        self._count, self._at = self._count + by, now
        return self._sum


def nearer_its_best(now: float, sample: float) -> float:
    """A figure after a sample of something that what disturbs it can only lengthen."""
    return _toward(now, sample, 0.5 if sample < now else 0.125)


def _toward(now: float, sample: float, share: float) -> float:
    factor = min(max(sample / now, 0.5), 2.0)
    return float(now * factor**share)
