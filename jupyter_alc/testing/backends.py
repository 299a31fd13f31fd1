"""The contract of a backend: inherit, supply three fixtures, and your backend is tested on a real cluster.

Tests of one class share one cluster, in the order they are written, because a cluster takes seconds to start.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any, ClassVar, TypeVar

import pytest

from jupyter_alc.core.errors import Conflict, NotFound
from jupyter_alc.core.states import ClusterState
from jupyter_alc.piezo.backends import Backend
from jupyter_alc.piezo.options import ClusterOptions, read_options
from jupyter_alc.piezo.record import Cluster, Ending

T = TypeVar("T")
Again = Callable[[], Backend]  # a new backend object on the same ground, as after a restart of its caller
Harm = Callable[[Cluster], None]  # end the driver of a cluster behind the backend's back
START_SECONDS = 180.0
END_SECONDS = 60.0


def run(asked: Coroutine[Any, Any, T]) -> T:
    """Run one coroutine in an event loop of its own: a backend must not depend on a loop that stays."""
    return asyncio.run(asked)


def find(backend: Backend, cluster_id: str) -> Cluster:
    """The cluster of this id; fails the test where there is none."""
    for each in run(backend.clusters()):
        if each.id == cluster_id:
            return each
    raise AssertionError(f"no cluster {cluster_id}")


def wait_for(backend: Backend, cluster_id: str, *states: ClusterState, seconds: float) -> Cluster:
    """Ask until the cluster is in one of `states`; fails the test when `seconds` pass."""
    until = time.monotonic() + seconds
    while (found := find(backend, cluster_id)).state not in states:
        assert time.monotonic() < until, f"still {found.state}: {found.record.reason}"
        time.sleep(0.2)
    return found


class BackendContract:
    """What every backend promises; see `Backend`. Supply `backend`, `again` and `harm` with module scope."""

    ID: ClassVar[str] = "contract-one"
    BRIEF: ClassVar[str] = "contract-brief"

    @pytest.fixture
    def options(self, backend: Backend) -> ClusterOptions:
        """The smallest cluster."""
        return read_options({"cores_per_worker": 1, "memory_per_worker": "512m"}, backend.machine)

    def test_an_unknown_cluster_is_not_found(self, backend: Backend) -> None:
        """Not there is told as not there, whatever is asked."""
        for ask in (backend.renew, backend.stop, backend.connection):
            with pytest.raises(NotFound):
                run(ask("never-made"))
        assert run(backend.clusters()) == []

    def test_creating_returns_at_once(self, backend: Backend, options: ClusterOptions) -> None:
        """The state is on its way, with a reason for waiting."""
        made = run(backend.create(self.ID, options))
        assert made.state in {ClusterState.ASKED, ClusterState.STARTING}
        assert made.record.reason

    def test_one_id_is_one_cluster(self, backend: Backend, options: ClusterOptions) -> None:
        """Creating again with the same id, also twice at once, gives the same cluster."""

        async def twice() -> list[Cluster]:
            return [*await asyncio.gather(*(backend.create(self.ID, options) for _ in range(2)))]

        assert {each.record.created for each in run(twice())} == {find(backend, self.ID).record.created}
        assert len(run(backend.clusters())) == 1

    def test_no_connection_is_given_out_before_it_is_ready(self, backend: Backend) -> None:
        """Waiting is a conflict, not an absence."""
        if find(backend, self.ID).state is ClusterState.STARTING:
            with pytest.raises(Conflict):
                run(backend.connection(self.ID))

    def test_it_becomes_ready_and_says_how_long_it_took(self, backend: Backend) -> None:
        """Ready comes with seconds, a lease and a connection."""
        ready = wait_for(backend, self.ID, ClusterState.READY, ClusterState.GONE, seconds=START_SECONDS)
        assert ready.state is ClusterState.READY, ready.record.problem
        assert ready.record.ready_seconds is not None
        assert ready.lease_until is not None
        assert run(backend.connection(self.ID)).connect_url.startswith("sc://localhost:")

    def test_renewing_moves_the_end_of_the_lease(self, backend: Backend) -> None:
        """The lease ends later than before."""
        before = find(backend, self.ID).lease_until
        time.sleep(1.1)
        after = run(backend.renew(self.ID)).lease_until
        assert before is not None
        assert after is not None
        assert after > before

    def test_it_is_found_again_after_a_restart_of_the_caller(self, backend: Backend, again: Again) -> None:
        """The same cluster, the same connection."""
        other = again()
        assert find(other, self.ID).state is ClusterState.READY
        assert run(other.connection(self.ID)) == run(backend.connection(self.ID))

    def test_a_second_one_can_be_stopped_while_it_starts(self, backend: Backend, options: ClusterOptions) -> None:
        """Stopping twice is the same stop; the other cluster does not notice."""
        run(backend.create(self.BRIEF, options))
        wait_for(backend, self.BRIEF, ClusterState.STARTING, seconds=END_SECONDS)
        for _ in range(2):
            assert run(backend.stop(self.BRIEF)).state in {ClusterState.STOPPING, ClusterState.GONE}
            if find(backend, self.BRIEF).state is ClusterState.GONE:
                break
        gone = wait_for(backend, self.BRIEF, ClusterState.GONE, seconds=END_SECONDS)
        assert gone.record.ending is Ending.STOPPED
        assert find(backend, self.ID).state is ClusterState.READY

    def test_a_dead_driver_makes_it_lost_and_then_gone(self, backend: Backend, harm: Harm) -> None:
        """The reason and the ending are kept; nothing is handed out any more."""
        harm(find(backend, self.ID))
        gone = wait_for(backend, self.ID, ClusterState.GONE, seconds=END_SECONDS)
        assert gone.record.ending is Ending.LOST
        assert gone.record.problem is not None
        with pytest.raises(NotFound):
            run(backend.connection(self.ID))

    def test_an_id_is_never_used_again(self, backend: Backend, options: ClusterOptions) -> None:
        """Creating with the id of a gone cluster gives the gone one."""
        assert run(backend.create(self.ID, options)).state is ClusterState.GONE
