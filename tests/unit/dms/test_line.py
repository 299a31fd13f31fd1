"""How a line is measured, from samples that lie in the ways real ones do."""

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_alc.dms.engine.line import Busy, Line, Mean

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
    assert line.shared_byte_seconds > 0
    assert line.own_byte_seconds >= 0
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


@pytest.mark.parametrize("own", [0.0, 5e-9, 2e-8])
@pytest.mark.parametrize("beside", [3, 6, 8])
def test_what_one_request_brings_by_itself_is_told_apart_from_what_many_do(own, beside):
    """A line that is busy 1e-8 s with each byte, for servers that need `own` more whoever else asks."""
    latency, shared, size = 0.01, 1e-8, 4 * MIB
    alone = latency + size * (own + shared)
    together = max(alone, beside * size * shared)
    line = Line().seen(1000, latency)
    for _ in range(4):
        for _ in range(8):
            line = line.seen(size, alone)
        for _ in range(8):
            line = line.seen(size, together, beside)
    assert line.own_byte_seconds + line.shared_byte_seconds == pytest.approx(own + shared, rel=0.02)
    if together > alone:  # the line was full
        assert line.shared_byte_seconds == pytest.approx(shared, rel=0.02)


def test_many_together_bring_no_less_than_one_alone_and_as_much_until_both_were_seen():
    one = Line().seen(4 * MIB, 0.4)
    assert one.shared_byte_seconds == pytest.approx(0.1 / MIB)
    many = Line().seen(4 * MIB, 0.4, 4)
    assert (many.shared_byte_seconds, many.own_byte_seconds) == (pytest.approx(0.025 / MIB), 0.0)
    quicker = many.seen(4 * MIB, 0.04)
    assert quicker.shared_byte_seconds == pytest.approx(0.01 / MIB)
    assert quicker.own_byte_seconds == 0.0


@given(st.lists(st.tuples(st.floats(1e-9, 1e3), st.floats(0.01, 3)), min_size=1, max_size=20))
def test_a_mean_is_one_of_its_samples_by_their_weight_and_one_stall_moves_it_little(samples):
    mean = Mean()
    for value, weight in samples:
        mean = mean.with_one(value, weight)
    assert min(value for value, _ in samples) * 0.999 <= mean.value <= max(value for value, _ in samples) * 1.001
    assert 0 < mean.weight <= 8
    assert mean.with_one(1e9).value <= 2 * mean.value
    assert Mean(1.0, 8.0).with_one(100.0).value == pytest.approx(1.125)


def test_reach_is_what_comes_in_two_latencies() -> None:
    line = Line(latency_seconds=0.02, bytes_per_second=100e6, latency_known=True)
    assert line.reach == 0
    assert replace(line, rate_known=True).reach == 4_000_000


def test_one_quick_answer_of_little_says_nothing_of_what_many_bring_together() -> None:
    many = Line().seen(4 * MIB, 0.4, 4)
    assert many.seen(MIB, 0.01).shared_byte_seconds == many.shared_byte_seconds
    assert many.seen(4 * MIB, 0.04).shared_byte_seconds < many.shared_byte_seconds
