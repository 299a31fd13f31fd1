"""How a line is measured, from samples that lie in the ways real ones do."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_alc.dms.engine.line import Busy, Line

pytestmark = pytest.mark.unit
MIB = 1024 * 1024


def fed(line, *, latency, rate, requests, beside=1, noise=0.0, seed=1):
    rng = random.Random(seed)
    for number in range(requests):
        size = 64 * 1024 if number % 3 == 0 else 4 * MIB
        seconds = latency + size * (beside if size > MIB else 1) / rate
        line = line.seen(size, seconds * (1 + noise * rng.expovariate(1)), beside if size > MIB else 1)
    return line


@pytest.mark.parametrize("latency", [0.001, 0.02, 0.2])
@pytest.mark.parametrize("rate", [2e6, 1e8, 1e9])
def test_a_quiet_line_is_known_after_a_few_answers(latency, rate):
    line = fed(Line(), latency=latency, rate=rate, requests=30)
    best = min(rate, 4 * 4 * MIB / latency)  # a request of 4 MiB cannot tell more where latency is most of it
    assert line.latency_seconds == pytest.approx(latency, rel=0.4, abs=0.04 if rate < 1e7 else 0.0)
    assert line.bytes_per_second == pytest.approx(best, rel=0.5)


def test_eight_requests_side_by_side_share_one_line():
    line = fed(Line(), latency=0.02, rate=4e8, requests=60, beside=8)
    assert line.bytes_per_second == pytest.approx(4e8, rel=0.3)


def test_noise_only_adds_and_latency_stays_near_its_best():
    line = fed(Line(), latency=0.02, rate=4e8, requests=200, noise=0.5)
    assert 0.018 <= line.latency_seconds <= 0.035
    assert 2e8 <= line.bytes_per_second <= 4.4e8


def test_one_stall_is_no_other_line():
    line = fed(Line(), latency=0.02, rate=4e8, requests=60)
    stalled = line.seen(64 * 1024, 12.0).seen(4 * MIB, 12.0)
    assert stalled.latency_seconds <= 1.1 * line.latency_seconds
    assert stalled.bytes_per_second >= 0.8 * line.bytes_per_second


def test_a_line_that_became_another_is_followed():
    line = fed(fed(Line(), latency=0.001, rate=1e9, requests=60), latency=0.1, rate=1e7, requests=200)
    assert line.latency_seconds == pytest.approx(0.1, rel=0.3)
    assert line.bytes_per_second == pytest.approx(1e7, rel=0.3)


@given(st.lists(st.tuples(st.integers(0, 10**9), st.floats(0, 1e4), st.floats(0, 64)), max_size=50))
def test_whatever_is_seen_the_figures_stay_usable(samples):
    line = Line()
    for size, seconds, beside in samples:
        line = line.seen(size, seconds, beside)
    assert line.latency_seconds > 0
    assert line.bytes_per_second > 0
    assert 0 <= line.hole <= MIB


def test_requests_that_end_one_after_the_other_share_the_line_as_long_as_they_run():
    """Four begin at once and end at 1, 2, 3 and 4 s: the first had three beside it, the last one and a half."""
    busy = Busy()
    begun = [busy.change(10.0, 1) for _ in range(4)]
    ended = [busy.change(10.0 + second, -1) for second in (1, 2, 3, 4)]
    assert [(end - start) / second for start, end, second in zip(begun, ended, (1, 2, 3, 4), strict=True)] == [
        4,
        3.5,
        3,
        2.5,
    ]
