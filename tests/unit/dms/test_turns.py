"""Whose request goes next: R14 of docs/semantics/dms.md."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_alc.dms.engine.turns import QUIET_SECONDS, Ticket, Turns

pytestmark = pytest.mark.unit

STEPS = st.lists(
    st.tuples(st.sampled_from(["wait", "ahead", "hurry", "end", "move", "later"]), st.integers(0, 99)), max_size=120
)


def standing(turns, count, *, waited):
    tickets = [Ticket(waited) for _ in range(count)]
    for one in tickets:
        turns.ask(one)
    return tickets


def test_r14_who_waits_goes_before_what_is_fetched_ahead():
    turns = Turns(4)
    ahead, waited = standing(turns, 9, waited=False), standing(turns, 6, waited=True)
    assert turns.go(0) == waited[:4]
    turns.leave(waited[0])
    assert turns.go(0) == waited[4:5]
    for one in waited[1:]:
        turns.leave(one)
    assert turns.go(0) == ahead[:3]


@pytest.mark.parametrize(("parallel", "ahead"), [(1, 1), (2, 1), (3, 2), (4, 3), (8, 6), (16, 12)])
def test_r14_what_is_fetched_ahead_leaves_turns_for_who_comes(parallel, ahead):
    turns = Turns(parallel)
    standing(turns, 99, waited=False)
    assert len(turns.go(0)) == ahead
    late = standing(turns, 1, waited=True)
    assert turns.go(0) == (late if parallel > 1 else [])


def test_r14_what_somebody_waits_for_now_is_waited_for():
    turns = Turns(2)
    first, second, third = standing(turns, 3, waited=False)
    assert turns.go(0) == [first]
    turns.hurry(third)
    assert turns.go(0) == [third]
    turns.leave(first)
    turns.leave(third)
    assert turns.go(0) == [second]


def test_r14_files_take_turns():
    turns = Turns(2)
    many = [Ticket(of="many") for _ in range(4)]
    for one in (*many, other := Ticket(of="other")):
        turns.ask(one)
    assert turns.go(0) == [many[0], other]


def test_r14_24_that_hang_do_not_keep_who_waits_from_going_for_longer_than_two_seconds():
    turns = Turns(8)
    hung = standing(turns, 24, waited=True)
    for second in range(0, 6, 2):
        turns.go(second * QUIET_SECONDS / 2)
    assert turns.going == 24
    other = standing(turns, 1, waited=True)
    assert turns.go(3 * QUIET_SECONDS) == other
    assert all(one.moved <= 2 * QUIET_SECONDS for one in hung)


@given(st.integers(1, 20), STEPS)
def test_r14_holds_whatever_comes_and_goes(parallel, steps):
    turns, now = Turns(parallel), 0.0
    standing, going = [], []
    for what, number in steps:
        if what in {"wait", "ahead"}:
            standing.append(Ticket(what == "wait"))
            turns.ask(standing[-1])
        elif what == "hurry" and standing:
            turns.hurry(standing[number % len(standing)])
        elif what == "end" and (there := [*standing, *going]):
            gone = there[number % len(there)]
            turns.leave(gone)
            (standing if gone in standing else going).remove(gone)
        elif what == "move" and going:
            going[number % len(going)].moved = now
        elif what == "later":
            now += number / 10
        for one in turns.go(now):
            assert one.waited or not any(other.waited for other in standing)  # who waits goes first
            assert one.waited or parallel == 1 or len(going) < parallel - 1  # and finds a turn
            standing.remove(one)
            going.append(one)
        quiet = sum(now - one.moved >= QUIET_SECONDS for one in going)
        assert turns.going == len(going) <= 4 * parallel
        if any(one.waited for one in standing):  # nobody waits in vain
            assert len(going) - quiet >= parallel or len(going) == 4 * parallel
        elif standing:
            assert len(going) >= max(1, parallel - max(parallel // 4, 1))
        assert turns.held_up == any(one.waited for one in standing)
