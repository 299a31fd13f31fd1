"""`GET /v1/metrics`: the counts of the data service as Prometheus reads them (S7). Labels come from closed sets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from jupyter_alc.core.errors import Missing
from jupyter_alc.core.states import TransferState
from jupyter_alc.dms.engine.latency import cumulated
from jupyter_alc.dms.engine.measures import PUSHED

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from prometheus_client import Metric

    from jupyter_alc.dms.engine.measures import Measures, OfAdapter

CONTENT_TYPE: Final = "text/plain; version=0.0.4"
_NAME: Final = "jupyter_alc_dms"


def metrics_text(measures: Measures, transfers: Mapping[str, int]) -> str:
    """The text; `transfers` counts those that are remembered by their state. `Missing` without prometheus-client."""
    try:
        from prometheus_client import CollectorRegistry, generate_latest  # noqa: PLC0415  (the machine extra has it)
    except ImportError:
        raise Missing("This data service has no metrics.", next_step="Install jupyter-alc[machine].") from None
    registry = CollectorRegistry()
    registry.register(_Told([*_of_cache(measures), *_of_adapters(measures.adapters), _of_transfers(transfers)]))
    return generate_latest(registry).decode()


class _Told:
    """A collector of what is known already."""

    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def _of_cache(measures: Measures) -> Iterator[Metric]:
    from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily  # noqa: PLC0415

    reads = measures.reads
    counters = {
        "cache_hits": ("Reads answered by what was here.", reads.hits),
        "cache_misses": ("Reads that had to wait for an archive.", reads.misses),
        "cache_evictions": ("Holes and files evicted from the cache.", reads.evictions),
        "checksum_failures": ("Blocks of the cache whose checksum failed; they are fetched again.", reads.dropped),
        "pushed_bytes": ("Bytes put into the kernel's memory ahead of readers.", PUSHED.size_bytes),
    }
    for name, (told, value) in counters.items():
        yield CounterMetricFamily(f"{_NAME}_{name}", told, value)
    gauges = {
        "cache_bytes": ("What the cache takes of the disk.", measures.cache_bytes),
        "cache_quota_bytes": ("What the cache may take of the disk.", measures.quota_bytes),
        "readers": ("Sessions of processes that read data.", measures.readers),
    }
    for name, (told, value) in gauges.items():
        yield GaugeMetricFamily(f"{_NAME}_{name}", told, value)


def _of_adapters(adapters: Mapping[str, OfAdapter]) -> Iterator[Metric]:
    from prometheus_client.metrics_core import (  # noqa: PLC0415
        CounterMetricFamily,
        GaugeMetricFamily,
        HistogramMetricFamily,
    )

    needed = CounterMetricFamily(f"{_NAME}_needed_bytes", "Bytes that readers got.", labels=["adapter"])
    moved = CounterMetricFamily(f"{_NAME}_moved_bytes", "Bytes that came from archives.", labels=["adapter"])
    requests = CounterMetricFamily(f"{_NAME}_requests", "Requests to archives.", labels=["adapter"])
    away = GaugeMetricFamily(f"{_NAME}_unreachable", "Datasets whose archive is out of reach.", labels=["adapter"])
    took = HistogramMetricFamily(f"{_NAME}_fetch_seconds", "How long reads of archives took.", labels=["adapter"])
    for name, one in sorted(adapters.items()):
        needed.add_metric([name], one.needed_bytes)
        moved.add_metric([name], one.moved_bytes)
        requests.add_metric([name], one.requests)
        away.add_metric([name], one.unreachable)
        took.add_metric([name], cumulated(one.latency), one.latency.seconds)
    yield from (needed, moved, requests, away, took)


def _of_transfers(transfers: Mapping[str, int]) -> Metric:
    from prometheus_client.metrics_core import GaugeMetricFamily  # noqa: PLC0415

    told = GaugeMetricFamily(f"{_NAME}_transfers", "Transfers that are remembered.", labels=["state"])
    for state in TransferState:
        told.add_metric([str(state)], transfers.get(state, 0))
    return told
