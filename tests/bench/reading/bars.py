"""What ours must reach beside the others, judged by medians; nothing here fails, a bar that is missed is told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from bench.reading.clients import PEERS
from bench.reading.floor import NAME as FLOOR

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Results = dict[str, dict[str, dict[str, Any]]]
"""Row, client and figure to a spread."""


@dataclass(frozen=True)
class Bar:
    """`figure` of ours in `row` must be at least (`more`) or at most what `wanted` says of the others."""

    row: str
    figure: str
    says: str
    wanted: Callable[[Mapping[str, Mapping[str, Any]], str], float]
    more: bool = True
    aim: bool = False


@dataclass(frozen=True)
class Verdict:
    """A bar that could be judged: ours, what was wanted, whether it is reached, and ours as a share of it."""

    bar: Bar
    ours: float
    wanted: float

    @property
    def reached(self) -> bool:
        """Whether it is."""
        return self.ours >= self.wanted if self.bar.more else self.ours <= self.wanted

    @property
    def share(self) -> float:
        """Ours divided by what was wanted; infinite where nothing was wanted and something came."""
        return self.ours / self.wanted if self.wanted else float("inf" if self.ours else 1)


def judge(results: Results) -> list[Verdict]:
    """All bars whose rows were measured."""
    told = []
    for bar in BARS:
        row = results.get(bar.row, {})
        if "ours" in row and bar.figure in row["ours"]:
            try:
                wanted = bar.wanted(row, bar.figure)
            except KeyError:  # those it is measured by took no part
                continue
            told.append(Verdict(bar, _median(row, "ours", bar.figure), wanted))
    return told


def _median(row: Mapping[str, Mapping[str, Any]], client: str, figure: str) -> float:
    return float(row[client][figure]["median"])


def _fixed(value: float) -> Callable[[Mapping[str, Mapping[str, Any]], str], float]:
    return lambda _row, _figure: value


def _times(factor: float, client: str) -> Callable[[Mapping[str, Mapping[str, Any]], str], float]:
    return lambda row, figure: factor * _median(row, client, figure)


def _best_peer(factor: float) -> Callable[[Mapping[str, Mapping[str, Any]], str], float]:
    names = [peer.name for peer in PEERS]

    def wanted(row: Mapping[str, Mapping[str, Any]], figure: str) -> float:
        there = [_median(row, name, figure) for name in names if name in row]
        if not there:
            raise KeyError(figure)
        return factor * max(there)

    return wanted


BARS: Final = (
    Bar("first 4 KiB, +0 ms", "ms", "2 range GETs", _times(2, FLOOR), more=False),
    Bar("first 4 KiB, +20 ms", "ms", "2 range GETs", _times(2, FLOOR), more=False),
    Bar("first 4 KiB, +0 ms", "KiB moved", "300 KiB", _fixed(300), more=False),
    Bar("stream, +0 ms", "cold MiB/s", "1.2 x the best peer", _best_peer(1.2)),
    Bar("stream, +20 ms", "cold MiB/s", "1.2 x the best peer", _best_peer(1.2)),
    Bar("stream, +0 ms", "cold MiB/s", "0.8 x the floor", _times(0.8, FLOOR), aim=True),
    Bar("stream, +20 ms", "cold MiB/s", "0.8 x the floor", _times(0.8, FLOOR), aim=True),
    Bar("stream, +0 ms", "again MiB/s", "the best peer", _best_peer(1)),
    Bar("stream, +0 ms", "again MiB/s", "1.2 x the best peer", _best_peer(1.2), aim=True),
    Bar("stream, +0 ms", "again bytes moved", "nothing", _fixed(0), more=False),
    Bar("stream, +0 ms", "cold CPU-s per GiB", "2 s of the daemon", _fixed(2), more=False),
    Bar("random aligned, +20 ms", "moved / asked", "1.2", _fixed(1.2), more=False),
    Bar("random unaligned, +20 ms", "moved / asked", "2.2", _fixed(2.2), more=False),
    Bar("random aligned, +20 ms", "reads/s", "0.8 x the floor", _times(0.8, FLOOR)),
    Bar("random unaligned, +20 ms", "reads/s", "0.8 x the floor", _times(0.8, FLOOR)),
    Bar("cached 4 KiB, +0 ms", "reads/s", "3 x plain pyfuse3", _times(3, "plain pyfuse3")),
    Bar("cached 4 KiB, +0 ms", "reads/s", "0.7 x bindfs", _times(0.7, "bindfs")),
    Bar("small files, +20 ms", "files/s", "8 x the best peer", _best_peer(8)),
    Bar("names, +0 ms", "cold s", "1.2 x one listing by the S3 API", _times(1.2, FLOOR), more=False),
    Bar("names, +0 ms", "warm ms", "60 ms", _fixed(60), more=False),
    Bar("frame, +0 ms", "MB moved", "3 MB", _fixed(3), more=False),
    Bar("million names, +0 ms", "peak MiB", "300 MiB", _fixed(300), more=False),
    Bar("million names, +0 ms", "again requests", "none", _fixed(0), more=False),
)
