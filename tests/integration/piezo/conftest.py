"""One real cluster for all tests of this folder; tests that end a cluster make their own."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import zstandard

from jupyter_alc.core.settings import Places
from jupyter_alc.core.states import ClusterState
from jupyter_alc.piezo import processes
from jupyter_alc.piezo.backends.standalone import StandaloneBackend
from jupyter_alc.piezo.clusters import Clusters
from jupyter_alc.piezo.frameworks.spark import SparkFramework
from jupyter_alc.testing.backends import run, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from jupyter_alc.piezo.record import Cluster

DMS_SOCKET = "/run/alc/dms/some.sock"


@dataclass
class Ground:
    """A place for clusters, and the door to them."""

    backend: StandaloneBackend
    clusters: Clusters
    state: Path

    def start(self, cluster_id: str, **options: Any) -> Cluster:
        run(self.clusters.create(cluster_id, options))
        ready = wait_for(self.backend, cluster_id, ClusterState.READY, ClusterState.GONE, seconds=180)
        assert ready.state is ClusterState.READY, ready.record.problem
        return ready

    def gone(self, cluster_id: str, seconds: float = 60) -> Cluster:
        found = wait_for(self.backend, cluster_id, ClusterState.GONE, seconds=seconds)
        assert processes.marked(self.folder(found)) == []
        return found

    def folder(self, cluster: Cluster) -> Path:
        return self.state / "clusters" / cluster.id

    def events(self, cluster: Cluster) -> str:
        """The text of the cluster's event log, as far as it is written."""
        text = bytearray()
        for log in sorted((self.folder(cluster) / "events").rglob("events_*")):
            with (
                log.open("rb") as file,
                zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True) as reader,
            ):
                try:
                    while block := reader.read(65536):
                        text += block
                except zstandard.ZstdError:
                    pass  # the log of a living cluster is not closed
        return text.decode(errors="replace")

    def clear(self) -> None:
        for each in run(self.clusters.list()):
            if each.state is not ClusterState.GONE:
                run(self.clusters.stop(each.id))
                self.gone(each.id)


def make_ground(folder: Path, **more: str) -> Ground:
    environment = {**os.environ, "ALC_DMS_SOCKET": DMS_SOCKET, "JUPYTERHUB_API_TOKEN": "a-token-of-the-hub", **more}
    places = Places(state=folder / "state", cache=folder / "cache", run=folder / "run")
    backend = StandaloneBackend(places, environment)
    return Ground(backend, Clusters(backend=backend), places.state)


@pytest.fixture(scope="session")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    made = make_ground(tmp_path_factory.mktemp("piezo"))
    yield made
    made.clear()


@pytest.fixture(scope="session")
def cluster(ground: Ground) -> Cluster:
    asked = time.monotonic()
    ready = ground.start("shared", name="beamline")
    print(f"\nready in {ready.record.ready_seconds} s, seen after {time.monotonic() - asked:.1f} s")
    return ready


@pytest.fixture(scope="session")
def connection(ground: Ground, cluster: Cluster) -> dict[str, str]:
    return run(ground.clusters.connection(cluster.id))


@pytest.fixture(scope="session")
def spark(connection: dict[str, str]) -> Iterator[Any]:
    began = time.monotonic()
    session = SparkFramework().connect(connection["connect_url"], name="tests")
    assert session.range(10).count() == 10
    print(f"\nconnected and first result in {time.monotonic() - began:.1f} s")
    yield session
    if not session.is_stopped:
        session.stop()


@pytest.fixture
def own_ground(tmp_path: Path) -> Iterator[Callable[..., Ground]]:
    made: list[Ground] = []

    def make(**more: str) -> Ground:
        made.append(make_ground(tmp_path, **more))
        return made[-1]

    yield make
    for each in made:
        each.clear()
