"""What the operator's metrics are made of (S7): counts since the start, by adapter, and of the cache."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from jupyter_alc.dms.engine.latency import Latency

if TYPE_CHECKING:
    from collections.abc import Iterable

    from jupyter_alc.dms.engine.cache import Counts
    from jupyter_alc.dms.engine.link import Link


@dataclass(slots=True)
class Pushed:
    """What this process has put into the kernel's memory ahead of readers (R17)."""

    size_bytes: int = 0


PUSHED: Final = Pushed()
"""A process has one mount, and that has one thread that pushes: it alone adds."""


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
