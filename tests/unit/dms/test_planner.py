from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_alc.dms.engine.planner import (
    BLOCK,
    MOST_AHEAD,
    ONE_REQUEST,
    SMALL_FILE,
    Extent,
    Pattern,
    blocks_of,
    plan,
)

pytestmark = pytest.mark.unit


@given(
    st.integers(1, 200 * BLOCK), st.integers(0, 200 * BLOCK), st.integers(0, 40 * BLOCK), st.sets(st.integers(0, 199))
)
def test_a_plan_brings_all_that_is_wanted_nothing_twice_and_nothing_beyond(size, start, length, here):
    wanted = Extent(min(start, size), min(start + length, size))
    extents = plan(wanted, size, 0, lambda number: number in here)
    brought = [number for extent in extents for number in blocks_of(extent)]
    assert len(brought) == len(set(brought))
    assert not set(brought) & here
    assert set(blocks_of(wanted)) <= set(brought) | here
    assert all(extent.start % BLOCK == 0 and extent.stop <= size and extent.size <= ONE_REQUEST for extent in extents)
    if size > SMALL_FILE:
        assert set(brought) <= set(blocks_of(wanted))


def test_a_small_file_is_one_request():
    assert plan(Extent(10, 20), SMALL_FILE - 1, 0, lambda _: False) == [Extent(0, SMALL_FILE - 1)]


def test_an_empty_read_needs_nothing():
    assert plan(Extent(5, 5), 100, 0, lambda _: False) == []


def test_the_first_touch_at_the_start_is_128_kib_and_a_jump_needs_no_more_than_it_asks():
    pattern = Pattern()
    assert pattern.ahead(Extent(0, 4096)) == 128 * 1024
    assert pattern.ahead(Extent(50_000_000, 50_004_096)) == 0
    assert Pattern().ahead(Extent(50_000_000, 50_004_096)) == 0


def test_a_stream_brings_more_and_more_and_a_jump_ends_it():
    pattern, at, windows = Pattern(), 0, []
    for _ in range(200):
        windows.append(pattern.ahead(Extent(at, at + 128 * 1024)))
        at += 128 * 1024
    assert windows[-1] == MOST_AHEAD
    assert windows[1:] == sorted(windows[1:])
    assert pattern.ahead(Extent(900_000_000, 900_000_100)) == 0


def test_a_stream_goes_on_when_hits_were_not_told():
    pattern = Pattern()
    for at in range(0, 1024 * 1024, 128 * 1024):
        pattern.ahead(Extent(at, at + 128 * 1024))
    grown = pattern.ahead(Extent(1024 * 1024, 1024 * 1024 + 4096))
    assert pattern.ahead(Extent(1024 * 1024 + grown, 1024 * 1024 + grown + 4096)) >= grown


def test_an_extent_is_a_byte_range():
    with pytest.raises(ValueError, match="not a byte range"):
        Extent(5, 4)
