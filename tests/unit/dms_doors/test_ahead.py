"""Which bytes are pushed ahead of a reader; R17 of docs/semantics/dms.md."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_alc.dms.engine.planner import BLOCK, Extent
from jupyter_alc.dms.fuse.ahead import BEYOND, GAP, HALF, MIB, PIECE, WINDOW, Ahead

pytestmark = pytest.mark.unit
SIZE = 64 * MIB + 17


def read_on(ahead, start, stop, step=GAP):
    """Read in order; what was pushed."""
    pushed = []
    for at in range(start, stop, step):
        if ahead.note(at, at + step):
            pushed += ahead.push()
    return pushed


def test_a_reader_in_order_has_8_mib_pushed_from_1_mib_beyond_its_read_on():
    ahead = Ahead(SIZE)
    assert read_on(ahead, 0, MIB - GAP) == []
    pushed = read_on(ahead, MIB - GAP, MIB)
    assert pushed[0].start == MIB + BEYOND + GAP
    assert pushed[-1].stop == MIB + BEYOND + WINDOW
    assert sum(one.size for one in pushed) == WINDOW - 2 * GAP
    assert max(one.size for one in pushed) <= PIECE


def test_few_large_reads_in_a_row_are_not_enough():
    assert read_on(Ahead(SIZE), 0, 7 * MIB, MIB) == []
    assert read_on(Ahead(SIZE), 0, 8 * MIB, MIB) != []


def test_reads_here_and_there_are_left_alone_after_16_jumps():
    ahead = Ahead(SIZE)
    for number in range(40):
        assert not ahead.note((number * 7 % 40) * MIB, (number * 7 % 40) * MIB + 4096)
    assert ahead.over


def test_a_small_file_is_never_pushed():
    assert Ahead(WINDOW).over


def through(ahead, size, step=GAP):
    """Read a file to its end as a kernel does that keeps what was pushed; what was pushed and what was passed."""
    pushed, passed, at = [], [], 0
    while at < size:
        over = next((one for one in pushed if one.start <= at < one.stop), None)
        if over is not None:
            at = over.stop
            continue
        if ahead.note(at, min(at + step, size)):
            if ahead.passed.size:
                passed.append(ahead.passed)
            pushed += ahead.push()
        at += step
    return pushed, passed


@given(st.integers(WINDOW + 2 * MIB, 80 * MIB), st.sampled_from([GAP, 16 << 10, 4096 * 5]))
def test_all_that_is_pushed_is_within_the_file_disjoint_and_counted_once_when_it_is_passed(size, step):
    pushed, passed = through(Ahead(size), size, step)
    for one, after in itertools.pairwise(pushed):
        assert one.stop <= after.start
    for one in pushed:
        assert one.stop <= (size // BLOCK - 1) * BLOCK
        assert one.size <= PIECE
    assert sum(one.size for one in pushed) == sum(one.size for one in passed)
    assert not pushed or passed[0].start == pushed[0].start


def test_a_read_within_what_was_pushed_ends_it():
    ahead = Ahead(SIZE)
    pushed = read_on(ahead, 0, MIB)
    assert not ahead.note(pushed[0].start, pushed[0].start + GAP)
    assert ahead.over
    assert ahead.push() == []


def test_a_jump_ends_it():
    ahead = Ahead(SIZE)
    read_on(ahead, 0, MIB)
    assert not ahead.note(40 * MIB, 40 * MIB + GAP)
    assert ahead.over


def test_a_gap_is_read_by_several_small_reads():
    ahead = Ahead(SIZE)
    read_on(ahead, 0, 2 * MIB)
    assert read_on(ahead, 2 * MIB, 2 * MIB + GAP, 16 << 10) == []
    pushed = read_on(ahead, 2 * MIB + HALF, 2 * MIB + HALF + GAP, 16 << 10)
    assert pushed[0] == Extent(2 * MIB + 2 * HALF + GAP, 2 * MIB + 2 * HALF + PIECE)
    assert not ahead.over
