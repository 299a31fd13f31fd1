"""Why a cluster still lives: its owner was heard from."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from jupyter_alc.core.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jupyter_alc.core.clock import Clock

VARIABLE: Final = "ALC_PIEZO_LEASE_SECONDS"
DEFAULT_SECONDS: Final = 900.0


class Lease:
    """A stretch of time that renewing begins anew. Counted on the steady clock, told on the wall clock."""

    def __init__(self, seconds: float, clock: Clock) -> None:
        self.seconds = seconds
        self._clock = clock
        self._renewed = clock.monotonic()

    def renew(self) -> datetime:
        """Begin it anew; returns when it would end now."""
        self._renewed = self._clock.monotonic()
        return self.until

    @property
    def left_seconds(self) -> float:
        """Seconds until it ends; 0 when it has ended."""
        return max(0.0, self._renewed + self.seconds - self._clock.monotonic())

    @property
    def ended(self) -> bool:
        """Whether nobody renewed it in time."""
        return self.left_seconds == 0.0

    @property
    def until(self) -> datetime:
        """The wall-clock time of its end."""
        return self._clock.now() + timedelta(seconds=self.left_seconds)


def lease_seconds(environment: Mapping[str, str]) -> float:
    """Read the lease's length, in seconds, from ALC_PIEZO_LEASE_SECONDS; raises `BadInput` for what is no time."""
    given = environment.get(VARIABLE)
    if not given:
        return DEFAULT_SECONDS
    if not (given.isascii() and given.isdigit() and 1 <= int(given) <= 86400):
        raise BadInput(
            f"{VARIABLE} is {given[:40]!r}.",
            next_step="Give whole seconds from 1 to 86400, such as 900.",
            field=VARIABLE,
        )
    return float(given)
