from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from jupyter_alc.core.settings import Places
from jupyter_alc.core.states import ClusterState
from jupyter_alc.piezo import processes
from jupyter_alc.piezo.backends.standalone import StandaloneBackend
from jupyter_alc.testing.backends import Again, BackendContract, Harm, run, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jupyter_alc.piezo.backends import Backend
    from jupyter_alc.piezo.record import Cluster

pytestmark = [pytest.mark.contract, pytest.mark.spark, pytest.mark.timeout(300)]


class TestStandalone(BackendContract):
    pass


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Places:
    ground = tmp_path_factory.mktemp("clusters")
    return Places(state=ground / "state", cache=ground / "cache", run=ground / "run")


@pytest.fixture(scope="module")
def again(places: Places) -> Again:
    return lambda: StandaloneBackend(places)


def marked(places: Places, cluster_id: str) -> list[int]:
    return processes.marked(places.state / "clusters" / cluster_id)


@pytest.fixture(scope="module")
def backend(again: Again, places: Places) -> Iterator[Backend]:
    made = again()
    yield made
    for each in run(made.clusters()):
        if each.state != "gone":
            run(made.stop(each.id))
            wait_for(made, each.id, ClusterState.GONE, seconds=60)
    assert [pid for name in (TestStandalone.ID, TestStandalone.BRIEF) for pid in marked(places, name)] == []


@pytest.fixture(scope="module")
def harm(places: Places) -> Harm:
    def kill(cluster: Cluster) -> None:
        drivers = [pid for pid in marked(places, cluster.id) if b"SparkConnectServer" in cmdline(pid)]
        assert len(drivers) == 1
        os.kill(drivers[0], signal.SIGKILL)

    return kill


def cmdline(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()
