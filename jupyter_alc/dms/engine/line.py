"""The way to one archive: how long its answer takes, how many bytes a second it brings. Pure: samples in, figures out.

Both figures are decayed averages in which one sample counts for little, since samples lie: a request that waited in
the server's queue looks like latency, one of eight side by side looks like an eighth of the line, one stall looks like
the end of the world. So

- latency comes from small answers, less the time their bytes took. It follows a better sample half of the way and a
  worse one an eighth of it: what disturbs a measurement only ever adds.
- bytes per second come from large answers, less their share of the latency, times the requests that shared the line
  meanwhile, on average over their time. They follow a quarter of the way, measured in factors.
- no sample counts for more than twice, or less than half, of what was believed before it; the first ones are believed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

_SMALL: Final = 256 * 1024  # up to here an answer tells latency, from here on bandwidth
_SOON: Final = 1e-5
_HOLE: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Line:
    """What is believed of a line; the figures before the first sample are those of a facility's own network."""

    latency_seconds: float = 0.005
    bytes_per_second: float = 64.0 * 1024 * 1024
    parallel: int = 8
    latency_known: bool = False
    rate_known: bool = False

    def seen(self, size: int, seconds: float, beside: float = 1.0) -> Line:
        """The line after an answer of `size` bytes took `seconds`, with `beside` requests (itself too) under way."""
        if size <= 0:
            return self
        seconds = max(seconds, _SOON)
        if size <= _SMALL:
            latency = max(seconds - size / self.bytes_per_second, _SOON) if self.rate_known else seconds
            if self.latency_known:
                share = 0.5 if latency < self.latency_seconds else 0.125
                latency = _toward(self.latency_seconds, latency, share)
            return replace(self, latency_seconds=latency, latency_known=True)
        beside = max(beside, 1.0)  # while one waits for its answer the others move: the line rests for a share of it
        pure = max(seconds - (self.latency_seconds / beside if self.latency_known else 0.0), seconds / 4)
        rate = size * beside / pure
        if self.rate_known:
            rate = _toward(self.bytes_per_second, rate, 0.25)
        return replace(self, bytes_per_second=rate, rate_known=True)

    @property
    def hole(self) -> int:
        """The bytes that cost as much as one request more, while as many run as are welcome; at most 1 MiB."""
        return min(int(self.latency_seconds * self.bytes_per_second / self.parallel), _HOLE)


class Busy:
    """How many requests are under way, over time: the mean between two moments is the difference by the seconds."""

    def __init__(self) -> None:
        self._count, self._at, self._sum = 0, 0.0, 0.0

    def change(self, now: float, by: int) -> float:
        """Begin (1) or end (-1) a request; the seconds of all requests together until `now`."""
        self._sum += self._count * (now - self._at)
        self._count, self._at = self._count + by, now
        return self._sum


def _toward(now: float, sample: float, share: float) -> float:
    factor = min(max(sample / now, 0.5), 2.0)
    return float(now * factor**share)
