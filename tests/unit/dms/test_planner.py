"""What is fetched for a read: R2, R8 and R9 of docs/semantics/dms.md."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_alc.dms.engine.planner import (
    BLOCK,
    FIRST_TOUCH,
    FIRST_WINDOW,
    MOST_AHEAD,
    ONE_REQUEST,
    SMALL_FILE,
    STREAM_AFTER,
    Extent,
    Pattern,
    blocks_of,
    first_touch,
    plan,
)

pytestmark = pytest.mark.unit
MIB = 1024 * 1024
BLOCKS = st.integers(0, 399)
POSITIONS = st.integers(0, 400 * BLOCK)
EXTENTS = st.tuples(POSITIONS, st.integers(0, 60 * BLOCK)).map(lambda one: Extent(one[0], one[0] + one[1]))


def nothing(_number):
    return False


class Reader:
    """One handle on a cold file, as the engine reads it; every fetch lands at once."""

    def __init__(self, size, most=MOST_AHEAD):
        self.size, self.most, self.pattern = size, most, Pattern(size)
        self.here, self.moved, self.requests, self.first = set(), 0, 0, True

    def read(self, start, length):
        wanted = Extent(start, min(self.size, start + length))
        ahead = self.pattern.fill(self.most) if self.pattern.note(wanted.start, wanted.stop) else Extent(0, 0)
        missed = not set(blocks_of(wanted)) <= self.here
        goal = first_touch(wanted, self.size) if self.first and missed else wanted
        self.first = False
        for extent in plan([goal, ahead], self.size, self.here.__contains__, nothing):
            self.here.update(blocks_of(extent))
            self.moved += extent.size
            self.requests += 1
        assert set(blocks_of(wanted)) <= self.here
        return ahead


@given(
    st.integers(1, 400 * BLOCK),
    st.lists(EXTENTS, max_size=6),
    st.sets(BLOCKS),
    st.sets(BLOCKS),
    st.tuples(st.integers(0, 2 * MIB), st.integers(1, 6 * MIB)),
)
def test_r2_a_plan_brings_all_that_is_wanted_and_nothing_that_is_here_or_coming(size, wanted, here, coming, limits):
    hole, most = limits
    extents = plan(wanted, size, here.__contains__, coming.__contains__, hole=hole, longest=most)
    brought = [number for extent in extents for number in blocks_of(extent)]
    needed = {number for one in wanted for number in blocks_of(Extent(min(one.start, size), min(one.stop, size)))}
    missing = needed - here - coming
    assert missing <= set(brought)
    assert brought == sorted(set(brought))
    assert not set(brought) & coming
    assert all(one.start % BLOCK == 0 and (one.stop % BLOCK == 0 or one.stop == size) for one in extents)
    assert all(0 < one.size <= max(most, BLOCK) and one.stop <= size for one in extents)
    holes = set(brought) - missing
    assert len(holes) * BLOCK <= max(4 * BLOCK, len(missing) * BLOCK / 8)
    if hole < BLOCK:
        assert not holes


def test_r9_a_hole_that_costs_less_than_a_request_is_fetched_along():
    two = [Extent(0, BLOCK), Extent(3 * BLOCK, 4 * BLOCK)]
    assert plan(two, 100 * BLOCK, nothing, nothing, hole=2 * BLOCK) == [Extent(0, 4 * BLOCK)]
    assert plan(two, 100 * BLOCK, nothing, nothing, hole=2 * BLOCK - 1) == two
    assert plan(two, 100 * BLOCK, nothing, {1}.__contains__, hole=2 * BLOCK) == two  # what is coming is not asked twice


def test_r2_a_small_file_comes_whole_and_a_first_touch_is_128_kib():
    assert first_touch(Extent(10, 20), SMALL_FILE) == Extent(0, SMALL_FILE)
    assert first_touch(Extent(0, 20), SMALL_FILE + 1) == Extent(0, FIRST_TOUCH)
    assert first_touch(Extent(0, 20 * MIB), 40 * MIB) == Extent(0, 20 * MIB)
    assert first_touch(Extent(10 * MIB, 10 * MIB + 5), 40 * MIB) == Extent(10 * MIB, 10 * MIB + 5)


def test_an_empty_read_needs_nothing():
    assert plan([Extent(5, 5)], 100, nothing, nothing) == []


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([8, 64, 1024]), st.booleans())
def test_r2_random_reads_move_little_more_than_they_ask(seed, mib, aligned):
    rng, reader = random.Random(seed), Reader(mib * MIB)
    for _ in range(200):
        block = rng.randrange(mib * MIB // BLOCK - 1)
        reader.read(block * BLOCK + (0 if aligned else rng.randrange(1, BLOCK)), BLOCK)
    assert reader.moved <= (1.2 if aligned else 2.2) * 200 * BLOCK


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 2 * MIB), st.integers(0, 200 * MIB), st.integers(0, 100 * MIB))
def test_r8_a_stream_moves_every_byte_once_within_its_caps(step, size, most):
    reader, at = Reader(size, most), 0
    for _ in range(300):
        ahead = reader.read(at, step) if at < size else Extent(0, 0)
        at += step
        assert reader.pattern.window <= min(most, MOST_AHEAD)
        assert ahead.stop <= min(size, at + min(most, MOST_AHEAD) + BLOCK)
    assert reader.moved == sum(min(size, (number + 1) * BLOCK) - number * BLOCK for number in reader.here)


def test_r8_a_stream_looks_a_quarter_of_its_length_ahead_and_after_4_mib_twice_as_far_each_time():
    reader, step = Reader(1024 * MIB), 128 * 1024
    windows = [(reader.pattern.window, at + step) for at in range(0, 512 * MIB, step) if reader.read(at, step).size]
    assert windows[0] == (128 * 1024, STREAM_AFTER)
    assert all(window <= at / 4 for window, at in windows if window < FIRST_WINDOW)
    believed = [window for window, _ in windows if window >= FIRST_WINDOW]
    assert believed[:7] == [FIRST_WINDOW << number for number in range(7)]
    assert set(believed[6:]) == {MOST_AHEAD}
    assert len(windows) < 50


def test_r8_a_detector_frame_is_no_stream_yet():
    """One of 2.1 MB read in pieces as a kernel does, then another far away: hardly more than themselves."""
    reader = Reader(516 * MIB)
    for frame in (100, 40):
        for at in range(0, 2_100_000, 128 * 1024):
            reader.read(frame * 4 * MIB + at, min(128 * 1024, 2_100_000 - at))
    assert reader.moved <= 2 * (2_100_000 + 600_000)


def test_r8_a_jump_closes_the_window_and_small_steps_do_not():
    reader = Reader(1024 * MIB)
    for at in range(0, 32 * MIB, MIB):
        reader.read(at, MIB)
    window = reader.pattern.window
    assert window >= 8 * MIB
    reader.read(32 * MIB + 100_000, MIB // 8)  # a little forward
    reader.read(32 * MIB - 500_000, MIB // 2)  # a little back
    reader.read(36 * MIB, MIB)  # inside the window
    assert reader.pattern.window >= window
    assert reader.read(900 * MIB, MIB).size == 0
    assert reader.pattern.window == 0
    assert reader.read(1023 * MIB, BLOCK).size == 0


def test_r8_hits_advance_the_window_before_the_reader_has_to_wait():
    pattern, waits, filled = Pattern(1024 * MIB), 0, 0
    for at in range(0, 256 * MIB, 128 * 1024):
        if pattern.note(at, at + 128 * 1024):
            filled = pattern.fill(MOST_AHEAD).stop
        elif at + 128 * 1024 > filled:
            waits += 1
    assert waits <= 8


@pytest.mark.parametrize(("reach", "most_of_its_length"), [(0, 0.25), (300 * 1024, 0.6), (64 * MIB, 1.0)])
def test_r8_a_short_stream_looks_as_far_ahead_as_it_is_long_where_the_line_brings_that_meanwhile(
    reach, most_of_its_length
):
    pattern, ahead = Pattern(1024 * MIB), []
    for at in range(0, 4 * MIB - BLOCK, BLOCK):
        if pattern.note(at, at + BLOCK) and at + BLOCK < 4 * MIB - BLOCK:
            stop = pattern.fill(MOST_AHEAD, reach).stop
            ahead.append((stop - at - 2 * BLOCK) / (at + BLOCK))
    assert ahead
    assert max(ahead) <= most_of_its_length
    assert max(ahead) > most_of_its_length / 4


def test_r8_a_window_that_did_not_come_is_fetched_again_half_as_large():
    reader = Reader(1024 * MIB)
    for at in range(0, 32 * MIB, MIB):
        reader.read(at, MIB)
    window = reader.pattern.window
    assert not reader.pattern.lost(900 * MIB)
    assert reader.pattern.lost(31 * MIB)
    ahead = reader.pattern.fill(MOST_AHEAD)
    assert (ahead.start, reader.pattern.window) == (32 * MIB, window // 2)


def test_r8_a_short_stream_that_lost_its_window_does_not_look_further_because_the_line_is_quick():
    pattern, fills = Pattern(1024 * MIB), []
    for at in range(0, 16 * MIB, BLOCK):
        if pattern.note(at, at + BLOCK):
            fills.append(pattern.fill(MOST_AHEAD, 64 * MIB).size)
        if at == 2 * MIB:
            before = pattern.window
            assert pattern.lost(at)
            assert pattern.fill(MOST_AHEAD, 64 * MIB).size <= before // 2 + BLOCK
    assert max(fills) >= 4 * MIB


def test_r8_a_quota_of_less_than_a_block_ahead_has_no_windows():
    pattern = Pattern(64 * MIB)
    fills = [pattern.fill(BLOCK - 1).size for at in range(0, 64 * MIB, BLOCK) if pattern.note(at, at + BLOCK)]
    assert set(fills) <= {0}
    assert len(fills) <= 64 + 1


@given(st.lists(st.tuples(st.integers(0, 40 * MIB), st.integers(1, 3 * MIB), st.integers(0, 8 * MIB)), max_size=60))
def test_r8_however_it_is_read_no_window_reaches_beyond_what_is_allowed(reads):
    size, pattern = 40 * MIB + 17, Pattern(40 * MIB + 17)
    for start, length, most in reads:
        if pattern.note(start, min(size, start + length)):
            ahead = pattern.fill(most)
            assert pattern.window <= most
            assert ahead.stop <= size
            assert ahead.size <= most + BLOCK


def test_an_extent_is_a_byte_range():
    with pytest.raises(ValueError, match="not a byte range"):
        Extent(5, 4)


def test_a_request_is_at_most_4_mib():
    assert [one.size for one in plan([Extent(0, 9 * MIB)], 20 * MIB, nothing, nothing)] == [
        ONE_REQUEST,
        ONE_REQUEST,
        MIB,
    ]
