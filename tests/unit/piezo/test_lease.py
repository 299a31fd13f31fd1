from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from jupyter_alc.core.errors import BadInput
from jupyter_alc.piezo.lease import Lease, lease_seconds

pytestmark = pytest.mark.unit

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


class Hand:
    """A clock moved by hand."""

    seconds = 0.0

    def now(self) -> datetime:
        return NOON + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        return self.seconds


def test_a_lease_ends_when_nobody_renews_it():
    clock = Hand()
    lease = Lease(60, clock)
    clock.seconds = 59.9
    assert not lease.ended
    clock.seconds = 60
    assert lease.ended
    assert lease.left_seconds == 0


def test_renewing_begins_it_anew():
    clock = Hand()
    lease = Lease(60, clock)
    clock.seconds = 50
    assert lease.renew() == NOON + timedelta(seconds=110)
    clock.seconds = 100
    assert not lease.ended
    assert lease.until == NOON + timedelta(seconds=110)


@pytest.mark.parametrize(
    ("given", "seconds"), [({}, 900), ({"ALC_PIEZO_LEASE_SECONDS": ""}, 900), ({"ALC_PIEZO_LEASE_SECONDS": "20"}, 20)]
)
def test_its_length_is_a_setting(given: dict[str, str], seconds: float):
    assert lease_seconds(given) == seconds


@pytest.mark.parametrize("given", ["0", "-1", "1.5", "15m", "1_0", "²", "86401", " 5"])
def test_a_length_that_is_no_time_is_refused(given: str):
    with pytest.raises(BadInput):
        lease_seconds({"ALC_PIEZO_LEASE_SECONDS": given})
