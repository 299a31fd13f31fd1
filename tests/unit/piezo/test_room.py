"""A machine's memory is given to as many clusters as fit it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from jupyter_alc.core.errors import Conflict
from jupyter_alc.core.states import ClusterState
from jupyter_alc.piezo.clusters import Clusters
from jupyter_alc.piezo.options import MEBIBYTE, Machine
from jupyter_alc.piezo.record import Cluster
from unit.piezo.test_record import record

if TYPE_CHECKING:
    from jupyter_alc.piezo.options import ClusterOptions

pytestmark = pytest.mark.unit


class Room:
    """A backend that begins whatever it is asked for."""

    def __init__(self, memory_bytes: int) -> None:
        self.machine = Machine(cores=2, memory_bytes=memory_bytes)
        self.begun: list[Cluster] = []

    async def clusters(self) -> list[Cluster]:
        return self.begun

    async def create(self, id: str, options: ClusterOptions) -> Cluster:
        made = replace(record(ClusterState.READY), id=id, name=options.name, options=options.as_json())
        self.begun.append(Cluster(made))
        return self.begun[-1]


def clusters(memory_bytes: int) -> tuple[Clusters, Room]:
    room = Room(memory_bytes)
    backend: Any = room
    return Clusters(backend=backend, environment={}), room


async def test_a_second_cluster_is_refused_where_the_first_leaves_no_memory_for_it():
    door, room = clusters(3000 * MEBIBYTE)
    await door.create(None, {"name": "first"})
    with pytest.raises(
        Conflict, match=r"needs 2\.2 GB, and cluster first leaves 0\.9 of this machine's 3\.1 GB"
    ) as told:
        await door.create(None, {"name": "second"})
    assert told.value.next_step == "Use cluster first, or stop it first."
    room.begun[0] = Cluster(replace(room.begun[0].record, state=ClusterState.GONE))
    await door.create(None, {"name": "second"})


async def test_two_clusters_are_begun_where_both_fit():
    door, room = clusters(4300 * MEBIBYTE)
    await door.create(None, {"name": "first"})
    await door.create(None, {"name": "second"})
    assert [one.record.name for one in room.begun] == ["first", "second"]


async def test_a_machine_smaller_than_one_cluster_still_tries():
    door, room = clusters(1500 * MEBIBYTE)
    await door.create(None, {})
    assert room.begun
