"""Semantics 3 to 6: claims, fence, leases, release."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from jupyter_alc.core.errors import BadInput, Conflict, Denied, NotFound, PoolExhausted
from jupyter_alc.core.states import AllocationState, MachineState
from jupyter_alc.vmm.claims import Claim
from jupyter_alc.vmm.reports import Report
from jupyter_alc.vmm.types import MachineType
from tests.unit.vmm.conftest import TIMING, Small

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.unit


def state(small: Small, ident: str) -> str:
    return str(small.store.allocation(ident).state)


def test_a_ready_machine_is_taken_at_once_and_the_fence_grows(small: Small) -> None:
    small.settle()
    ident = small.claim("ada")
    allocation = small.store.allocation(ident)
    assert allocation.state is AllocationState.CLAIMED
    assert allocation.machine is not None
    machine = small.store.machine(allocation.machine)
    assert (machine.state, machine.person, machine.fence) == (MachineState.CLAIMED, "ada", 1)


def test_the_same_claim_again_finds_the_same_allocation(small: Small) -> None:
    small.settle()
    first = small.claim("ada")
    small.reopen()
    allocation, new = small.store.claim(Claim("ada", "", "1", "small"), small.types)
    assert (allocation.id, new) == (first, False)
    assert len(small.store.allocations_of("ada")) == 1


def test_a_claim_waits_while_its_machine_is_made_and_gets_it_oldest_first(small: Small) -> None:
    first, second = small.claim("ada"), small.claim("brahe")
    assert {state(small, first), state(small, second)} == {"queued"}
    small.keep()
    keys = sorted(small.cloud.keys)
    assert len(keys) == 3
    small.keep()
    small.wake_up(keys[0])
    assert (state(small, first), state(small, second)) == ("claimed", "queued")
    small.wake_up(keys[1])
    assert state(small, second) == "claimed"


def test_pool_exhausted_only_when_every_machine_that_may_be_is_taken(small: Small) -> None:
    small.settle()
    for user in ("ada", "brahe", "cora"):
        small.claim(user)
    with pytest.raises(PoolExhausted, match="All 3 machines"):
        small.claim("dora")
    with pytest.raises(NotFound):
        small.store.allocation(Claim("dora", "", "1", "small").ident("hub"))


def test_another_server_of_the_same_person_is_refused_with_the_reason(small: Small) -> None:
    small.claim("ada", server="one")
    with pytest.raises(Conflict, match="your server 'one'"):
        small.claim("ada", server="two")


def test_a_newer_start_of_the_same_server_releases_the_older_and_waits_for_it(small: Small) -> None:
    small.settle()
    old = small.claim("ada", "1")
    small.settle()
    machine = small.store.allocation(old).machine
    new = small.claim("ada", "2")
    assert (state(small, old), state(small, new)) == ("releasing", "queued")
    small.settle()
    assert (state(small, old), state(small, new)) == ("released", "ready")
    assert small.store.allocation(new).machine != machine


def test_a_type_that_is_not_there_and_one_that_is_not_hers_are_refused_alike(tmp_path: Path) -> None:
    hidden = MachineType("gpu", "GPU", 1, 10**9, "python", users=frozenset({"brahe"}))
    small = Small(tmp_path, (hidden,))
    told = []
    for name in ("gpu", "no-such"):
        with pytest.raises(BadInput) as caught:
            small.claim("ada", type_id=name)
        told.append(str(caught.value).replace(name, "X"))
    assert told[0] == told[1]
    small.store.close()


def test_without_isolation_the_first_person_is_the_only_one(tmp_path: Path) -> None:
    small = Small(tmp_path, isolation="none")
    small.settle()
    small.claim("ada")
    with pytest.raises(Denied, match="not isolated"):
        small.claim("brahe")
    small.store.close()


def test_without_isolation_a_second_person_who_waits_is_refused_when_that_is_seen(tmp_path: Path) -> None:
    small = Small(tmp_path, isolation="none")
    first, second = small.claim("ada"), small.claim("brahe")
    small.settle()
    assert (state(small, first), state(small, second)) == ("ready", "failed")
    assert "not isolated" in str(small.store.allocation(second).problem)
    small.store.close()


def test_a_person_keeps_her_number_and_machines_are_never_anybody_elses(small: Small) -> None:
    small.settle()
    one = small.claim("ada")
    small.settle()
    uids = small.store.person(small.store.allocation(one)).uids(isolated=True)
    assert uids == {"uid": 53000, "gid": 53000, "dms_uid": 53001, "dms_gid": 53001}
    used = small.store.allocation(one).machine
    small.store.release(one, "a test")
    small.settle()
    two, three = small.claim("brahe"), small.claim("ada", "2")
    small.settle()
    assert small.store.person(small.store.allocation(three)).number == 0
    assert small.store.person(small.store.allocation(two)).number == 1
    assert used not in {small.store.allocation(two).machine, small.store.allocation(three).machine}


def test_a_foreign_allocation_and_an_old_fence_are_refused_and_change_nothing(small: Small) -> None:
    small.settle()
    ident = small.claim("ada")
    small.keep()
    key = small.store.allocation(ident).machine
    assert key is not None
    for allocation, fence in (("alloc-other", 1), (ident, 0), (ident, None)):
        with pytest.raises(Conflict):
            small.store.report(key, Report("stage", allocation, fence, stage="account"))
    assert state(small, ident) == "claimed"


def test_volumes_are_attached_before_the_order_and_their_paths_stand_in_it(small: Small) -> None:
    small.settle()
    ident = small.claim("ada")
    key = small.store.allocation(ident).machine
    assert key is not None
    assert small.store.order_after(key, 0, small.types, "http://vmm") == (0, None)
    small.keep()
    number, order = small.store.order_after(key, 0, small.types, "http://vmm")
    assert (number, order["home"], order["dms_volume"]) == (1, "/home/ada", "/var/lib/alc-dms")
    assert small.cloud.attached == [
        (key, "home", "ada", 53000, "/home/ada"),
        (key, "dms", "ada", 53001, "/var/lib/alc-dms"),
    ]


def test_after_a_kill_between_claim_and_order_the_rows_say_what_is_missing(small: Small) -> None:
    small.settle()
    ident = small.claim("ada")
    small.reopen()
    small.settle()
    assert state(small, ident) == "ready"


def test_secrets_are_erased_when_the_server_answers(small: Small) -> None:
    small.settle()
    ident = small.claim("ada")
    assert small.store.allocation(ident).secrets
    small.settle()
    assert state(small, ident) == "ready"
    assert small.store.allocation(ident).secrets is None
    small.store.tidy()
    assert not [one for one in small.path.parent.iterdir() if b"hush" in one.read_bytes()]


def test_the_enrolment_token_works_once_and_a_second_use_ends_the_machine(small: Small) -> None:
    small.keep()
    (key,) = small.cloud.keys
    token = small.cloud.user_data(key)["enrolment_token"]
    with pytest.raises(Denied):
        small.store.enrol(key, "wrong")
    small.store.enrol(key, token)
    with pytest.raises(Denied):
        small.store.enrol(key, token)
    assert small.store.machine(key).state is MachineState.FAILED
    small.settle()
    assert key not in small.cloud.keys


def test_the_enrolment_token_is_worth_nothing_after_the_launch_deadline(small: Small) -> None:
    small.keep()
    (key,) = small.cloud.keys
    small.clock.seconds += TIMING.launch_seconds + 1
    with pytest.raises(Denied):
        small.store.enrol(key, small.cloud.user_data(key)["enrolment_token"])


def test_a_lease_that_nobody_renews_ends_in_a_release(small: Small) -> None:
    small.settle()
    ident = small.claim("ada")
    small.settle()
    small.clock.seconds += TIMING.lease_seconds + 1
    small.settle()
    assert state(small, ident) == "released"


def test_the_heartbeat_of_a_living_server_renews_the_lease_and_so_does_the_spawner(small: Small) -> None:
    small.settle()
    ident = small.claim("ada")
    small.settle()
    allocation = small.store.allocation(ident)
    assert allocation.machine is not None
    for _ in range(5):
        small.clock.seconds += TIMING.lease_seconds * 0.9
        small.store.report(allocation.machine, Report("heartbeat", ident, allocation.fence))
        small.keep()
    small.clock.seconds += TIMING.lease_seconds * 0.9
    small.store.renew(ident)
    small.clock.seconds += TIMING.lease_seconds * 0.9
    small.keep()
    assert state(small, ident) == "ready"


def test_a_server_that_ended_fails_the_allocation_and_its_machine_drains(small: Small) -> None:
    small.settle()
    ident = small.claim("ada")
    small.settle()
    allocation = small.store.allocation(ident)
    assert allocation.machine is not None
    problem = {"code": "unavailable", "message": "Your Jupyter server ended.", "next_step": "Start it again."}
    small.store.report(allocation.machine, Report("failed", ident, allocation.fence, problem=problem))
    assert small.store.allocation(ident).problem == problem
    assert small.store.machine(allocation.machine).state is MachineState.DRAINING
    small.settle()
    assert allocation.machine not in small.cloud.keys


def test_unsent_results_keep_the_machine_and_it_is_told_to_try_again(small: Small) -> None:
    small.settle()
    ident = small.claim("ada")
    small.settle()
    allocation = small.store.allocation(ident)
    key, fence = allocation.machine, allocation.fence
    assert key is not None
    small.store.release(ident, "a test")
    number, _ = small.store.order_after(key, 1, small.types, "")
    small.store.report(key, Report("drained", ident, fence, unsent=[{"path": "results/a"}]))
    small.keep()
    assert small.store.machine(key).state is MachineState.DRAINING
    assert state(small, ident) == "releasing"
    small.keep(TIMING.drain_retry_seconds)
    assert small.store.order_after(key, number, small.types, "")[1]["kind"] == "release"
    small.settle()
    assert state(small, ident) == "released"
    assert key not in small.cloud.keys


def test_unsent_results_do_not_stand_in_the_way_of_the_same_persons_next_start(small: Small) -> None:
    small.settle()
    ident = small.claim("ada")
    small.settle()
    allocation = small.store.allocation(ident)
    assert allocation.machine is not None
    small.store.release(ident, "a test")
    small.store.report(allocation.machine, Report("drained", ident, allocation.fence, unsent=[{"path": "a"}]))
    again = small.claim("ada", "2")
    assert state(small, again) == "queued"
    small.settle()
    assert state(small, again) == "ready"


def test_a_drain_that_never_ends_is_ordered_again_and_does_not_keep_its_person_out(small: Small) -> None:
    """Semantics 6.3: its agent lives and says so, but what it does hangs."""
    small.settle()
    ident = small.claim("ada")
    small.settle()
    key = small.store.allocation(ident).machine
    assert key is not None
    small.store.release(ident, "asked for")
    first = small.store.machine(key).order_number
    late = TIMING.flush_seconds + TIMING.drain_work_seconds + 1

    def passes(seconds: float) -> None:
        small.clock.seconds += seconds
        small.store.report(key, Report("heartbeat"))
        small.keep()

    passes(late / 2)
    assert small.store.machine(key).order_number == first
    passes(late / 2)
    assert small.store.machine(key).order_number == first + 1
    small.claim("ada", spawn="2")
    passes(late)
    assert small.store.machine(key).state == "deleting"


def test_a_release_before_any_order_deletes_at_once(small: Small) -> None:
    small.settle()
    ident = small.claim("ada")
    small.store.release(ident, "a test")
    assert state(small, ident) == "released"
    small.settle()
    assert small.store.release(ident, "again").state is AllocationState.RELEASED


def test_volumes_that_cannot_be_attached_fail_the_allocation_with_a_reason(small: Small) -> None:
    small.settle()
    ident = small.claim("ada")
    small.cloud.fail("attach", 100)
    small.settle(20)
    assert state(small, ident) == "failed"
    assert "could not be attached" in str(small.store.allocation(ident).problem)


def test_racing_claimants_never_share_a_machine_and_never_pass_the_cap(tmp_path: Path) -> None:
    kind = MachineType("small", "General", 1, 10**9, "python", min_ready=6, max_total=6)
    small = Small(tmp_path, (kind,))
    small.settle()
    got: list[str] = []
    refused: list[str] = []

    def one(number: int) -> None:
        try:
            got.append(small.claim(f"user{number}"))
        except PoolExhausted:
            refused.append(f"user{number}")

    threads = [threading.Thread(target=one, args=(i,)) for i in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    machines = [small.store.allocation(ident).machine for ident in got]
    assert (len(got), len(refused), len(set(machines))) == (6, 18, 6)
    small.store.close()


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.2:8888/",
        "http://127.0.0.1/",
        "http://127.0.0.1:8888@127.0.0.2:8888/",
        "http://localhost:8888/",
        "ftp://127.0.0.1:21/",
        "http://[::1",
        "http://127.0.0.1:99999/",
    ],
)
def test_a_machine_names_no_server_but_its_own(small: Small, url: str) -> None:
    small.settle()
    ident = small.claim("ada")
    small.keep()
    key = small.store.allocation(ident).machine
    assert key is not None
    for name in ("account", "mount", "proof"):
        small.store.report(key, Report("stage", allocation=ident, fence=1, stage=name))
    with pytest.raises(BadInput):
        small.store.report(key, Report("ready", allocation=ident, fence=1, url=url))
    assert state(small, ident) == "starting"
    small.store.report(key, Report("ready", allocation=ident, fence=1, url="http://127.0.0.1:8888/user/ada/"))
    assert state(small, ident) == "ready"
