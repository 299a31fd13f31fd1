"""How often folders in use are listed again (N14)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_alc.dms.engine.names_watch import (
    FORGOTTEN_SECONDS,
    IN_USE_SECONDS,
    LONGEST_SECONDS,
    PERIOD_SECONDS,
    SHARE,
    STEP_SECONDS,
    period,
)

pytestmark = pytest.mark.unit


@given(st.floats(0, 10_000), st.floats(0, 10_000), st.floats(0, 100))
def test_n14_the_longer_nobody_looked_and_the_longer_it_takes_the_less_often(idle, more, took):
    first, later = period(idle, took), period(idle + more, took)
    if first is None:
        assert later is None
        assert idle > FORGOTTEN_SECONDS
    else:
        assert first >= SHARE * took
        assert first >= PERIOD_SECONDS
        assert later is None or later >= first
        assert first <= max(LONGEST_SECONDS, SHARE * took)


@given(st.floats(0, IN_USE_SECONDS), st.floats(0, 0.4))
def test_n14_a_folder_in_use_is_listed_often_enough_for_a_new_run_to_be_seen_within_10_seconds(idle, took):
    wait = period(idle, took)
    assert wait is not None
    assert wait + STEP_SECONDS + took < 10
