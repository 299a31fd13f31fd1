"""Time and ids are handed in, so that a test never sleeps and never meets a surprise."""

from __future__ import annotations

import secrets
import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """What time it is."""

    def now(self) -> datetime:
        """The wall clock, aware, in UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds that only grow, from an unknown start."""
        ...


class SystemClock:
    """The computer's own clock."""

    def now(self) -> datetime:
        """The wall clock, aware, in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds that only grow, from an unknown start."""
        return time.monotonic()


class IdMaker(Protocol):
    """Where new ids come from."""

    def __call__(self, kind: str) -> str:
        """Return an id nobody had before, as `<kind>-<random>`."""
        ...


def random_id(kind: str) -> str:
    """Return `<kind>-<10 random letters and digits>`."""
    alphabet = "abcdefghijkmnpqrstuvwxyz23456789"
    return f"{kind}-{''.join(secrets.choice(alphabet) for _ in range(10))}"
