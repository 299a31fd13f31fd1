"""One run after the other, in each all clients in turn, each freshly mounted with nothing cached."""

from __future__ import annotations

import dataclasses
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from bench.figures import spread
from bench.quiet import busy
from bench.reading import floor, plant
from bench.reading.clients import Store, fresh
from bench.reading.many_names import many_names
from bench.reading.proxy import Proxy
from bench.reading.works import Scene

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from typing import Any

    from bench.reading.clients import Client
    from bench.reading.plant import Sizes
    from bench.reading.rows import Row
    from bench.reading.works import Figures
    from labs.buckets import Buckets

BUCKET: Final = "bench"
PATIENCE_SECONDS: Final = 30.0
"""For all runs of one client in one row: who needs more is measured as often as fits, once at least."""


@dataclasses.dataclass(frozen=True)
class Ground:
    """The store with its objects, their local copies, and a folder for mounts."""

    lab: Buckets
    source: Path
    place: Path
    sizes: Sizes


def prepare(lab: Buckets, place: Path, sizes: Sizes) -> Ground:
    """Make what is read, and bring it into the store."""
    source = place / "source"
    source.mkdir()
    plant.write_sources(source, sizes)
    plant.plant(lab, lab.bucket(BUCKET), source)
    return Ground(lab, source, place, sizes)


def measure(ground: Ground, row: Row, runs: int, tell: Callable[[str], object]) -> dict[str, dict[str, Any]]:
    """Client to figure to its spread over the runs; `tell` hears a line for each turn."""
    seen: dict[str, list[Figures]] = {}
    took: dict[str, float] = {}
    left = busy(0.5)
    with _scene(ground, row) as scene:
        for run in range(runs):
            for client in (None, *row.clients(ground.source)):
                name = floor.NAME if client is None else client.name
                if (client is None and row.floor is None) or _enough(run, took.get(name, 0.0)):
                    continue
                since = time.monotonic()
                seen.setdefault(name, []).append(figures := _turn(scene, row, client, ground.place))
                took[name] = took.get(name, 0.0) + time.monotonic() - since
                tell(f"{row.name:24} {name:14} {_short(figures)}")
    told = {name: _spreads(figures) for name, figures in seen.items()}
    return {**told, "busy before": {"share": spread([left])}}


def _turn(scene: Scene, row: Row, client: Client | None, place: Path) -> Figures:
    if client is None:
        assert row.floor is not None
        return row.floor(scene)
    with fresh(place) as folder, client.mounted(folder, scene.store) as on:
        return row.work(scene, on)


def _enough(run: int, took: float) -> bool:
    return run >= 1 and took + took / run > PATIENCE_SECONDS


@contextmanager
def _scene(ground: Ground, row: Row) -> Iterator[Scene]:
    """The way to the store that this row reads from, counted and as slow as the row wants it."""
    state = ground.lab.state
    if row.kind == "million names":
        with many_names(ground.sizes.million) as port, Proxy("127.0.0.1", port) as proxy:
            yield _through(proxy, ground, row)
    else:
        at = urlsplit(state["endpoint"])
        with Proxy(at.hostname or "", at.port or 80) as proxy:
            yield _through(proxy, ground, row)


def _through(proxy: Proxy, ground: Ground, row: Row) -> Scene:
    proxy.delay(row.round_trip)
    told = {name: ground.lab.state[name] for name in ("region", "access_key", "secret_key")}
    return Scene(ground.source, Store(f"http://{proxy.address}", BUCKET, **told), proxy, ground.sizes)


def _spreads(runs: list[Figures]) -> dict[str, Any]:
    return {figure: spread(one[figure] for one in runs) for figure in runs[0]}


def _short(figures: Figures) -> str:
    return "  ".join(f"{name} {value:,.4g}" for name, value in figures.items())
