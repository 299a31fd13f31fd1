"""How ranges are shared out to requests: nothing lost, nothing asked twice, no request too large."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_alc.dms.ranges import MOST_BYTES, MOST_RANGES, extent, fits, requests

pytestmark = pytest.mark.unit

extents = st.lists(
    st.tuples(st.integers(0, 1 << 40), st.integers(0, 6 << 20)).map(lambda each: (each[0], each[0] + each[1]))
)


@given(extents)
def test_every_range_is_asked_for_once_and_in_order(wanted):
    """R13."""
    assert [each for batch in requests(wanted) for each in batch] == wanted


@given(extents)
def test_a_request_holds_what_fits_and_only_a_large_range_is_alone(wanted):
    """R13."""
    for batch in requests(wanted):
        assert fits(batch) or len(batch) == 1


def test_more_than_a_thousand_small_ranges_are_several_requests():
    """R13."""
    assert [len(batch) for batch in requests([(0, 1)] * (MOST_RANGES + 1))] == [MOST_RANGES, 1]
    assert fits([(0, MOST_BYTES)])
    assert not fits([(0, MOST_BYTES + 1)])


@pytest.mark.parametrize("open_ended", [(0, None), (-5, 10), (0, -1)])
def test_what_depends_on_the_size_of_the_file_is_not_known_to_fit(open_ended):
    """R13."""
    assert not fits([open_ended])


@given(st.binary(max_size=20), st.integers(-30, 30), st.none() | st.integers(-30, 30))
def test_an_extent_is_what_a_slice_is(content, start, stop):
    """Negative numbers count from the end."""
    first, end = extent(len(content), start, stop)
    assert content[first:end] == content[start:stop]
