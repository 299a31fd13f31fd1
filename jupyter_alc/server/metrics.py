"""The few counts of the extension, served by jupyter-server's own `/metrics`. Labels come from closed sets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import REGISTRY, Counter, Gauge
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from collections.abc import Iterable

    from prometheus_client import Metric

ERRORS = Counter(
    "errors", "Errors told to a caller, by their code.", ["code"], namespace="jupyter_alc", subsystem="server"
)
CLUSTERS_ASKED = Counter("clusters_asked", "Clusters asked for.", namespace="jupyter_alc", subsystem="piezo")
CLUSTERS = Gauge("clusters", "Clusters that live now.", namespace="jupyter_alc", subsystem="piezo")
UNSENT_FILES = Gauge("unsent_files", "Written files not yet at the archive.", namespace="jupyter_alc", subsystem="dms")
UNSENT_BYTES = Gauge("unsent_bytes", "Written bytes not yet at the archive.", namespace="jupyter_alc", subsystem="dms")


class OfData(Collector):
    """What the data service told of itself at the last look, told on as it is; nothing once it does not answer."""

    def __init__(self) -> None:
        self._families: list[Metric] = []

    def take(self, text: str) -> None:
        """Take what it tells now; an empty text for one that is silent."""
        self._families = list(text_string_to_metric_families(text))

    def collect(self) -> Iterable[Metric]:
        """The families as they were told."""
        return self._families


DATA = OfData()
REGISTRY.register(DATA)
