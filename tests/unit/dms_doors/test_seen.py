"""What was given out of a file that may grow."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_alc.dms.fuse.seen import MOST_BYTES, MOST_EXTENTS, Seen

pytestmark = pytest.mark.unit


@given(st.lists(st.tuples(st.integers(0, 200), st.integers(0, 40)), max_size=40))
def test_n16_extents_are_exactly_the_bytes_that_were_given_out(reads):
    seen, plain = Seen(), set()
    for start, size in reads:
        seen.add(start, start + size)
        plain |= set(range(start, start + size))
    extents = seen.extents()
    assert {byte for first, last in extents for byte in range(first, last)} == plain
    assert all(one[1] < other[0] for one, other in pairwise(extents))
    assert not seen.too_much


def test_n16_too_much_stays_too_much():
    seen = Seen()
    seen.add(0, MOST_BYTES)
    assert not seen.too_much
    seen.add(MOST_BYTES, MOST_BYTES + 1)
    assert seen.too_much
    many = Seen()
    for number in range(MOST_EXTENTS + 1):
        many.add(2 * number, 2 * number + 1)
    assert many.too_much
