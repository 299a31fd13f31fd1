"""Semantics 7 and 8: what the keeper does when the cloud is slow, wrong, down, or forgets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from jupyter_alc.core.errors import Missing, Unavailable
from jupyter_alc.core.states import MachineState
from jupyter_alc.vmm import plan
from jupyter_alc.vmm.offers import Scene, offer_of
from jupyter_alc.vmm.reports import Report
from jupyter_alc.vmm.types import MachineType
from tests.unit.vmm.conftest import TIMING, Small

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.unit


def ready(small: Small) -> list[str]:
    return [one.key for one in small.store.rows().machines if one.state is MachineState.READY]


def words(small: Small, **more: bool) -> str:
    rows, usual = small.store.rows(), small.store.usual_seconds()
    scene = Scene(rows=rows, usual=usual, timing=TIMING, now=small.clock.seconds, **more)
    return offer_of(small.types["small"], scene).words


def test_the_pool_fills_to_its_minimum_and_refills_at_the_claim(small: Small) -> None:
    small.settle()
    (first,) = ready(small)
    small.claim("ada")
    small.keep()
    small.keep()
    small.agents()
    small.settle()
    assert [key for key in ready(small) if key != first]
    assert len(small.cloud.keys) == 2


def test_the_row_and_the_hash_of_the_token_are_there_before_the_cloud_is_called(small: Small) -> None:
    small.cloud.fail("create", 1)
    small.keep()
    (machine,) = small.store.rows().machines
    assert machine.state is MachineState.REQUESTED
    assert len(machine.token_hash) == 64
    assert not small.cloud.keys


def test_a_create_whose_answer_was_lost_is_adopted_and_not_repeated(small: Small) -> None:
    small.cloud.fail("create", 1, after=True)
    small.keep()
    small.reopen()
    small.settle()
    assert len(small.cloud.ever) == 1
    assert len(ready(small)) == 1


def test_a_create_that_never_happened_is_given_up_after_the_launch_deadline(small: Small) -> None:
    small.cloud.fail("create", 1)
    small.settle()
    assert not small.cloud.keys
    small.clock.seconds += TIMING.launch_seconds
    small.settle()
    assert len(ready(small)) == 1


def test_could_not_ask_is_not_gone(small: Small) -> None:
    small.settle()
    before = small.store.rows()
    small.cloud.fail("machines", 1000)
    small.clock.seconds += TIMING.launch_seconds + TIMING.warm_silent_seconds
    assert not [one for one in small.keep() if isinstance(one, plan.Create | plan.Fail | plan.End | plan.Destroy)]
    assert small.store.rows() == before
    assert words(small, cloud_down=True) == "1 ready now"


def test_a_machine_missing_from_one_list_is_not_lost_and_from_two_it_is(small: Small) -> None:
    small.settle()
    (key,) = ready(small)
    small.cloud.hide(key)
    small.keep()
    assert ready(small) == [key]
    small.cloud.hide(key, hidden=False)
    small.keep()
    small.cloud.lose(key)
    small.keep()
    assert ready(small) == [key]
    small.keep()
    assert ready(small) == []
    small.settle()
    assert len(ready(small)) == 1


def test_a_machine_that_dies_in_use_fails_its_allocation_with_a_next_step(small: Small) -> None:
    small.settle()
    ident = small.claim("ada")
    small.settle()
    key = small.store.allocation(ident).machine
    assert key is not None
    small.cloud.kill(key)
    small.settle()
    told = small.store.allocation(ident)
    assert told.state == "failed"
    assert told.problem is not None
    assert "Start your server again" in told.problem["next_step"]
    assert key not in small.cloud.keys


def test_a_machine_in_use_whose_agent_is_silent_is_held_and_a_warm_one_is_replaced(small: Small) -> None:
    small.settle()
    ident = small.claim("ada")
    small.settle()
    used = small.store.allocation(ident).machine
    (warm,) = ready(small)
    for _ in range(10):
        small.store.renew(ident)
        small.keep(TIMING.warm_silent_seconds / 5)
    assert used in small.cloud.keys
    assert warm not in ready(small)
    assert small.store.allocation(ident).state == "ready"


def test_silence_while_vmm_was_away_does_not_count(small: Small) -> None:
    small.settle()
    (warm,) = ready(small)
    small.clock.seconds += 10 * TIMING.warm_silent_seconds
    small.reopen()
    small.keep()
    small.keep()
    assert ready(small) == [warm]


def test_a_lease_does_not_run_out_while_vmm_is_away(small: Small) -> None:
    """Semantics 5.2: nobody could renew it then."""
    small.settle()
    ident = small.claim("ada")
    small.settle()
    small.clock.seconds += 10 * TIMING.lease_seconds
    small.reopen()
    small.settle(3)
    assert small.store.allocation(ident).state == "ready"
    small.clock.seconds += TIMING.lease_seconds + 1
    small.keep()
    assert small.store.allocation(ident).state == "releasing"


@pytest.mark.parametrize("hours", [-5, 5])
def test_a_clock_that_is_set_anew_ends_no_lease_and_stops_no_work(small: Small, hours: int) -> None:
    small.settle()
    ident = small.claim("ada")
    small.settle()
    small.clock.set_by = hours * 3600.0
    small.keep()
    assert small.store.allocation(ident).state == "ready"
    small.reopen()  # the next VMM begins with the new time
    small.settle()
    key = small.store.allocation(ident).machine
    assert key is not None
    assert small.store.allocation(ident).state == "ready"
    small.cloud.kill(key)
    small.settle()
    assert small.store.allocation(ident).state == "failed"
    assert key not in small.cloud.keys


def test_a_leaked_machine_is_ended_after_two_sightings_and_a_grace(small: Small) -> None:
    small.settle()
    small.cloud.leak("stray")
    small.keep()
    small.keep()
    assert "stray" in small.cloud.keys
    small.keep(TIMING.leak_grace_seconds)
    assert "stray" not in small.cloud.keys


def test_a_sweep_that_would_end_too_many_ends_none_and_says_so(small: Small) -> None:
    small.settle()
    for number in range(plan.SWEEP_CAP + 1):
        small.cloud.leak(f"stray-{number}")
    small.keep()
    actions = small.keep(TIMING.leak_grace_seconds)
    assert [one for one in actions if isinstance(one, plan.Alarm)]
    assert len(small.cloud.keys) == 1 + plan.SWEEP_CAP + 1


def test_an_end_that_the_cloud_refuses_is_asked_for_again_and_counts_against_the_cap(small: Small) -> None:
    small.settle()
    ident = small.claim("ada")
    small.settle()
    key = small.store.allocation(ident).machine
    assert key is not None
    small.store.release(ident, "a test")
    small.agents()
    small.cloud.fail("destroy", 3)
    small.keep()
    assert small.store.machine(key).state is MachineState.DELETING
    assert key in small.cloud.keys
    for _ in range(60):
        small.keep()
    assert small.store.machine(key).state is MachineState.GONE
    assert key not in small.cloud.keys


def test_bad_boots_make_the_pauses_longer_and_the_form_says_so(small: Small) -> None:
    fault = Missing("The image is broken.", next_step="Repair it.")
    small.cloud.fail("create", 10_000, error=fault)
    made = 0
    for _ in range(300):
        made += sum(isinstance(one, plan.Create) for one in small.keep())
    assert 3 <= made <= 12
    assert words(small).startswith("machines of this type do not start; next try in ")
    ident = small.claim("ada")
    small.keep()
    problem = small.store.allocation(ident).problem
    assert problem is not None
    assert "The image is broken." in problem["message"]
    small.cloud.faults.left.clear()
    small.clock.seconds += plan.LONGEST_PAUSE
    small.settle()
    assert len(ready(small)) == 1


def test_a_machine_that_says_failed_before_it_is_ready_is_replaced(small: Small) -> None:
    small.keep()
    (key,) = small.cloud.keys
    small.store.enrol(key, small.cloud.user_data(key)["enrolment_token"])
    small.store.report(key, Report("failed", problem={"code": "missing", "message": "No /dev/fuse.", "next_step": ""}))
    assert small.store.machine(key).fault == "No /dev/fuse."
    for _ in range(12):
        small.settle(1)
    assert key not in small.cloud.keys
    assert len(ready(small)) == 1


def test_one_more_than_wanted_goes_after_a_while(small: Small) -> None:
    first = small.claim("ada")
    small.keep()
    small.store.release(first, "cancelled")
    small.settle()
    assert len(ready(small)) == 2
    for _ in range(40):
        small.keep(TIMING.surplus_seconds / 20)
        small.agents()
    assert len(ready(small)) == 1


def test_closing_releases_everything_and_ends_every_machine(small: Small) -> None:
    small.settle()
    ident = small.claim("ada")
    small.settle()
    small.closing = True
    small.settle()
    assert not small.cloud.keys
    assert not small.store.rows().machines
    assert small.store.allocation(ident).state == "released"


def test_the_trouble_of_one_type_does_not_stop_the_others(tmp_path: Path) -> None:
    kinds = (
        MachineType("bad", "Bad", 1, 10**9, "python"),
        MachineType("small", "General", 1, 10**9, "python"),
    )
    small = Small(tmp_path, kinds)
    create = small.cloud.create

    def picky(key: str, type: MachineType, user_data: dict[str, str]) -> None:
        if type.id == "bad":
            raise Missing("No such image.", next_step="Make it.")
        create(key, type, user_data)

    small.cloud.create = picky  # type: ignore[method-assign, assignment]
    small.settle()
    assert [small.store.machine(key).type for key in ready(small)] == ["small"]
    small.store.close()


def test_deciding_for_ten_thousand_machines_is_a_matter_of_rows_only(small: Small) -> None:
    small.settle()
    (one,) = small.store.rows().machines
    from dataclasses import replace

    many = tuple(replace(one, key=f"m{n}") for n in range(10_000))
    world = small.world()
    seen = next(iter(small.cloud.machines()))
    view = plan.View(world.now, {m.key: replace(seen, key=m.key) for m in many})
    kind = replace(small.types["small"], min_ready=10_000, max_total=10_000)
    crowd = replace(world, rows=replace(world.rows, machines=many), view=view, previous=view, types={"small": kind})
    assert plan.decide(crowd) == []


@pytest.mark.parametrize(
    ("claims", "expected"),
    [(0, "1 ready now"), (1, "about 20 s"), (2, "about 20 s, place 2"), (3, "all 3 in use")],
)
def test_the_form_tells_what_somebody_who_asks_now_will_get(small: Small, claims: int, expected: str) -> None:
    small.keep()
    small.keep()
    small.wake_up(*small.cloud.keys)
    for number in range(claims):
        small.claim(f"user{number}")
    said = words(small)
    if claims in {0, 3}:
        assert said == expected
    else:
        assert said.startswith("about ")
    assert words(small, refused=True) == "machines here are not isolated and serve one other person only"


def test_unavailable_attach_is_tried_again(small: Small) -> None:
    small.settle()
    ident = small.claim("ada")
    small.cloud.fail("attach", 2, error=Unavailable("busy"))
    small.settle()
    assert small.store.allocation(ident).state == "ready"
