"""The pure parts of transfers: pace, time, paths, who hears what, history."""

from __future__ import annotations

import asyncio
import heapq
import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_alc.core.errors import IllegalMove
from jupyter_alc.core.states import TRANSFER_MOVES, TransferState, check_move
from jupyter_alc.dms.engine.line import Line, Mean
from jupyter_alc.dms.entry import Entry
from jupyter_alc.dms.transfers.estimate import Plan, Work
from jupyter_alc.dms.transfers.hearing import ANYTHING, MOST_KEPT, Hearing
from jupyter_alc.dms.transfers.history import History
from jupyter_alc.dms.transfers.pace import Ceilings, Pace
from jupyter_alc.dms.transfers.rows import open_rows
from jupyter_alc.dms.transfers.table import DONE, FAILED, TO_DO, Table
from jupyter_alc.dms.transfers.transfer import Transfer, Wish, roots

pytestmark = pytest.mark.unit
MIB = 1 << 20


@given(st.lists(st.tuples(st.integers(1, 4 * MIB), st.floats(0, 3)), min_size=1, max_size=60))
def test_t6_who_waits_as_told_never_moves_more_than_the_ceiling(takes):
    """Over any time: what the rate gives, a second's worth of rest, and the one that was taken last."""
    rate, now, moved = MIB, 0.0, 0
    pace = Pace(rate, 0.0)
    for size, rest in takes:
        now += rest
        now += pace.take(size, now)
        moved += size
        assert moved - size <= rate * now + rate + 1e-6


def test_t6_what_readers_moved_counts_for_the_ceiling_of_the_dataset():
    now = [0.0]
    ceilings = Ceilings(lambda: now[0])
    assert ceilings.wait_beside("raw", 100, 50, 1000) == 0.0  # what moved before there was a ceiling does not count
    assert ceilings.wait_beside("raw", 100, 50, 1000) == pytest.approx(0.5)
    now[0] = 1.0
    assert ceilings.wait_beside("raw", 100, 10, 1300) == pytest.approx(3.0)
    assert ceilings.wait_beside("raw", 100, 10, 1100) == pytest.approx(1.1)  # 200 of them were ours after all
    assert ceilings.wait("free", None, 10**9) == 0.0


def test_t8_time_is_latency_and_bandwidth_shared():
    line = Line(latency_seconds=0.1, bytes_per_second=10 * MIB, latency_known=True, rate_known=True)

    def seconds(sizes, connections, cap=None):
        plan = Plan()
        plan.add(sum(sizes), 0, sizes)
        return plan.seconds(line, Work(), connections, cap)

    assert seconds([10], 1) == pytest.approx(0.1, rel=0.05)
    assert seconds([10] * 80, 8) == pytest.approx(1.0, rel=0.05)  # latency, eight at once
    assert seconds([10 * MIB] * 10, 8) == pytest.approx(10, rel=0.1)  # the line is full
    assert seconds([MIB] * 100, 1) == pytest.approx(20, rel=0.05)  # one after the other: both add up
    assert seconds([MIB] * 100, 1, MIB) == pytest.approx(100, rel=0.05)
    assert seconds([], 1) == 0.0


def moved(sizes, connections, latency, own, shared):
    """When the last of these requests is answered: each asker waits alone, then for its turn at the one line."""
    askers, free = [0.0] * connections, 0.0
    for size in sizes:
        comes = heapq.heappop(askers) + latency + size * own
        free = max(comes, free) + size * shared
        heapq.heappush(askers, free)
    return max(askers)


@given(
    st.lists(st.integers(1, 4 * MIB), min_size=1, max_size=80).map(sorted),
    st.integers(1, 12),
    st.floats(0, 0.2),
    st.floats(0, 1e-6),
    st.floats(1e-9, 1e-6),
)
def test_t8_few_requests_take_as_long_as_their_beginning_and_end_say(sizes, connections, latency, own, shared):
    """Whatever the line: within 30 % where the requests are of one size, never as if they were free."""
    line = Line(
        latency_seconds=latency,
        latency_known=True,
        rate_known=True,
        by_itself=Mean(own + shared, 8),
        shared=Mean(shared, 8),
    )

    def seconds(sizes):
        plan = Plan()
        plan.add(sum(sizes), 0, sizes)
        return plan.seconds(line, Work(file_seconds=0.0), connections, None)

    alike = [sizes[-1]] * len(sizes)
    assert 0.7 <= seconds(alike) / moved(alike, connections, latency, own, shared) <= 1.3
    assert seconds(sizes) >= latency + sizes[-1] * (own + shared) - 1e-9
    assert seconds(sizes) >= sum(sizes) * shared - 1e-9


def test_t8_one_request_is_no_share_of_six():
    """As was told of 4 MiB on a line of 100 MiB/s 20 ms away, of which one connection gets half: 34 ms for 100."""
    means = {"by_itself": Mean(0.02 / MIB, 8), "shared": Mean(0.01 / MIB, 8)}
    line = Line(latency_seconds=0.02, latency_known=True, rate_known=True, **means)
    plan = Plan()
    plan.add(4 * MIB, 0, [4 * MIB])
    assert plan.seconds(line, Work(file_seconds=0.0), 6, None) == pytest.approx(0.1)


def test_t8_a_transfer_s_own_steps_are_learned_from_those_of_few_files():
    line, plan = Line(latency_seconds=0.1, latency_known=True), Plan()
    plan.add(10, 0, [10])
    work = Work().stepped(1, 0.05)
    assert plan.seconds(line, work, 4, None) == pytest.approx(0.15, rel=0.02)
    assert work.stepped(1, 9.0).own_seconds < 0.06 < Work().stepped(1, 9.0).stepped(1, 0.05).own_seconds, "a stall"
    assert work.stepped(1000, 9.0) == work, "its own steps were those of many files"
    nothing = Plan()
    nothing.add(10, 10, [])
    assert nothing.seconds(line, work, 4, None) == 0.0


def test_t8_what_was_never_measured_is_not_guessed():
    small, large = Plan(), Plan()
    small.add(10, 0, [10])
    large.add(MIB, 0, [MIB])
    assert small.seconds(Line(), Work(), 4, None) is None
    assert small.seconds(Line(latency_known=True), Work(), 4, None) is not None
    assert large.seconds(Line(latency_known=True), Work(), 4, None) is None
    assert large.seconds(Line(rate_known=True), Work(), 4, None) is not None


def test_t8_what_this_computer_does_for_a_small_file_is_learned_from_transfers_that_it_held_up():
    line = Line(latency_seconds=0.0001, bytes_per_second=1000 * MIB, latency_known=True, rate_known=True)
    plan = Plan()
    for _ in range(1000):
        plan.add(10, 0, [10])
    work = Work().seen(200, 2_000_000, 0.8, 0.7)
    assert plan.seconds(line, work, 8, None) == pytest.approx(4.0)
    again = work.seen(200, 2_000_000, 0.4, 0.3)
    assert plan.seconds(line, again, 8, None) == pytest.approx(3.0)
    assert again.seen(200, 2_000_000, 9.0, 1.0) == again, "it waited for the line"
    assert again.seen(200, 2_000 * MIB, 9.0, 8.0) == again, "bytes took the time"
    assert again.seen(3, 30, 1.0, 1.0) == again, "too few to tell"


@given(st.lists(st.lists(st.sampled_from("abc"), min_size=1, max_size=3).map("/".join), max_size=8))
def test_what_lies_in_another_path_is_not_named_twice(paths):
    found = roots(paths)
    assert all(any(path == one or path.startswith(f"{one}/") for one in found) for path in paths)
    assert not any(one != other and other.startswith(f"{one}/") for one in found for other in found)


def test_t2_only_the_moves_written_down_are_legal():
    assert set(TRANSFER_MOVES) == set(TransferState)
    for now in TransferState:
        for then in TransferState:
            if then in TRANSFER_MOVES[now]:
                assert check_move(TRANSFER_MOVES, now, then, "it") is then
            else:
                with pytest.raises(IllegalMove):
                    check_move(TRANSFER_MOVES, now, then, "it")
    assert not TRANSFER_MOVES[TransferState.DONE]


async def test_t14_who_listens_slowly_hears_less_and_nothing_wrong():
    hearing = Hearing()
    listening = hearing.listen()
    first = asyncio.ensure_future(anext(listening))
    await asyncio.sleep(0)
    for number in range(2 * MOST_KEPT):
        hearing.tell("names", f"raw/{number}")
        hearing.tell("transfer", "one")
    heard = [await first]
    while True:
        try:
            heard.append(await asyncio.wait_for(anext(listening), 0.05))
        except TimeoutError:
            break
    await listening.aclose()
    assert len(heard) <= MOST_KEPT + 2
    assert heard.count(("transfer", "one")) == 1
    assert ANYTHING in heard


def test_t10_the_history_is_bounded_and_the_same_is_told_once():
    history = History(open_rows(None), most=5)
    for number in range(8):
        history.note(100.0 * number, "fetched", f"raw/run{number}", size=number)
    history.note(705.0, "fetched", "raw/run7", size=70)
    history.note(706.0, "changed", "raw/run7/file", problem={"code": "x", "message": "", "next_step": ""})
    history.note(707.0, "sent", "raw/run70")
    told = history.read("", 100)
    assert len(told) <= 5
    assert [(one["what"], one["path"]) for one in told[:3]] == [
        ("sent", "raw/run70"),
        ("changed", "raw/run7/file"),
        ("fetched", "raw/run7"),
    ]
    assert [one["bytes"] for one in history.read("raw/run7", 100)] == [None, 7 + 70], "added up"
    assert len(history.read("", 2)) == 2


def wish(**more):
    given = {"id": "t", "number": 0, "paths": ("raw",), "connections": 4, "files_at_once": 16}
    return Wish(**{**given, "bytes_per_second": None, "pattern": "", "begun": 1.0, **more})


def test_t3_rows_keep_what_was_wished_and_how_each_file_stands(tmp_path):
    table = Table(open_rows(tmp_path / "rows"))
    one = table.add(wish())
    odd = "raw/na\udcffme\n"
    table.listed(
        one.number, [(odd, Entry("x", "file", 5, 1.5, '"a"')), ("raw/b", Entry("b", "file", 7, 2.0, '"b"'))], ["raw/c"]
    )
    table.listed(one.number, [("raw/b", Entry("b", "file", 9, 2.0, '"other"'))], [])
    table.walked(one.number, "raw")
    again = Table(open_rows(tmp_path / "rows"))
    assert again.folder(one.number) == "raw/c"
    assert [(path, entry.size, entry.token) for path, entry in again.files(one.number, TO_DO)] == [
        ("raw/b", 7, '"b"'),
        (odd, 5, '"a"'),
    ]
    again.settled(one.number, [("raw/b", None)])
    again.settled(one.number, [(odd, {"code": "x", "message": "m", "next_step": "n"})])
    (known,) = again.all()
    assert (known.files, known.files_done, known.failed_files, known.size_bytes) == (2, 1, 1, 12)
    assert known.failed == [{"path": odd, "problem": {"code": "x", "message": "m", "next_step": "n"}}]
    again.again(one.number)
    assert [again.sums(one.number, state).files for state in (TO_DO, DONE, FAILED)] == [1, 1, 0]
    known.become(TransferState.MOVING)
    known.become(TransferState.DONE, ended=9.0)
    again.save(known)
    again.forget_files(one.number)
    (known,) = again.all()
    assert (known.state, known.files, known.files_done, known.size_bytes) == (TransferState.DONE, 2, 2, 12)
    again.remove(one.number)
    assert again.all() == []


def test_a_damaged_list_is_set_aside_and_begins_anew(tmp_path):
    (tmp_path / "rows").write_bytes(b"not a database at all" * 1000)
    assert Table(open_rows(tmp_path / "rows")).all() == []
    assert (tmp_path / "rows.damaged").exists()
    rows = sqlite3.connect(tmp_path / "rows")
    rows.execute("PRAGMA user_version=99")
    rows.commit()
    rows.close()
    assert Table(open_rows(tmp_path / "rows")).all() == []


def test_speed_and_time_left_are_of_the_last_seconds():
    transfer = Transfer(wish(), files=1, size_bytes=100 * MIB)
    transfer.become(TransferState.MOVING)
    transfer.going["raw/a"] = 0
    for second in range(20):
        transfer.moved_bytes = transfer.going["raw/a"] = second * MIB
        told = transfer.as_json(float(second))
    assert told["bytes_per_second"] == pytest.approx(MIB, rel=0.01)
    assert told["seconds_left"] == pytest.approx(81, rel=0.01)
    assert told["done_bytes"] == 19 * MIB
