"""The rows of the table: what is done, by whom, over which line, and which bar ours must reach."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from bench.reading import clients, floor, scan, works

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bench.reading.clients import Client, Mounted
    from bench.reading.works import Figures, Scene

FAR: Final = 0.02
"""The round trip that is added, seconds."""


@dataclass(frozen=True)
class Row:
    """One row over one line; `name` is its key in the results, `kind` what `--only` calls it."""

    kind: str
    title: str
    work: Callable[[Scene, Mounted], Figures]
    floor: Callable[[Scene], Figures] | None = None
    round_trip: float = 0.0

    @property
    def name(self) -> str:
        """The kind with its line."""
        return f"{self.kind}, +{self.round_trip * 1000:.0f} ms"

    def clients(self, source: Path) -> tuple[Client, ...]:
        """Who takes turns here."""
        if self.kind == "cached 4 KiB":
            return clients.Ours(), clients.plain_pyfuse3(source), clients.bindfs(source)
        if self.kind.startswith("Spark"):
            return clients.Ours(), clients.Local(source)
        if self.kind == "million names":
            return (clients.Ours(),)
        everybody = clients.Ours(), *clients.PEERS
        return (*everybody, clients.Local(source)) if self.kind == "names" else everybody


def _scattered(name: str, *, aligned: bool) -> Row:
    title = f"500 reads of 64 KiB, {'aligned' if aligned else 'not aligned'}, depth {works.DEPTH}"
    work = partial(works.scattered, aligned=aligned)
    return Row(name, title, work, partial(floor.scattered, aligned=aligned), FAR)


_FIRST: Final = "first 4 KiB of a cold object of 1 GiB"
_STREAM: Final = "1 GiB in order, cold; then again, dropped from the page cache"
_SCAN: Final = (
    "2,000 HDF5 files of 10,000 events, one column added up: Spark through `dms`, a plain loop on local files"
)
ROWS: Final = (
    Row("first 4 KiB", _FIRST, works.first_bytes, floor.first_bytes),
    Row("first 4 KiB", _FIRST, works.first_bytes, floor.first_bytes, FAR),
    Row("stream", _STREAM, works.stream, floor.stream),
    Row("stream", _STREAM, works.stream, floor.stream, FAR),
    _scattered("random aligned", aligned=True),
    _scattered("random unaligned", aligned=False),
    Row("cached 4 KiB", "random reads of 4 KiB, cached, depth 8, past the page cache", works.cached_4k),
    Row("small files", "300 files of 4 KiB, one after the other", works.small_files, floor.small_files, FAR),
    Row("names", "`ls -l` of 10,000 objects", works.names, floor.names),
    Row("frame", "one frame of 2.1 MB of a NeXus file of 516 MB, by h5py", works.one_frame),
    Row("million names", "all 1,000,000 names of one folder", works.million),
    *(Row(f"Spark {n}", f"{_SCAN}, {n} of Spark's cores", partial(scan.scan, cores=n)) for n in (1, 2)),
)
