"""So many bytes a second at most, over a few seconds. Pure: the time goes in, how long to wait comes out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

_BURST_SECONDS: Final = 1.0  # what was not used for so long may be used at once


class Pace:
    """A bucket of bytes that fills at a rate. Who takes more than is in it waits until it would have been."""

    def __init__(self, bytes_per_second: float, now: float) -> None:
        if bytes_per_second <= 0:
            raise ValueError("a pace is more than 0 bytes a second")
        self._rate = bytes_per_second
        self._at = now
        self._left = 0.0

    def take(self, size: int, now: float) -> float:
        """Take `size` bytes at the time `now`; the seconds to wait before they may be moved."""
        self._fill(now)
        wait = max(-self._left, 0.0) / self._rate
        self._left -= size
        return wait

    def also(self, size: int) -> None:
        """Count bytes that others moved: they need not wait, whoever comes next does. Less than 0 takes some back."""
        self._left -= size

    def _fill(self, now: float) -> None:
        gained = max(now - self._at, 0.0) * self._rate
        self._at = max(now, self._at)
        self._left = min(self._left + gained, self._rate * _BURST_SECONDS)


class Ceilings:
    """The paces of transfers and of datasets, by name. `now` tells the time; no ceiling is no wait."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._paces: dict[str, tuple[int, Pace]] = {}
        self._others: dict[str, int] = {}  # by name: what had moved for others at the last look

    def wait(self, name: str, bytes_per_second: int | None, size: int) -> float:
        """The seconds to wait before `size` bytes may move under the ceiling of `name`."""
        pace = self._pace(name, bytes_per_second)
        return 0.0 if pace is None else pace.take(size, self._now())

    def wait_beside(self, name: str, bytes_per_second: int | None, size: int, others: int) -> float:
        """The same where others move too, `others` bytes in all so far (T6)."""
        pace = self._pace(name, bytes_per_second)
        if pace is None:
            return 0.0
        pace.also(others - self._others.get(name, others))
        self._others[name] = others
        return pace.take(size, self._now())

    def forget(self, name: str) -> None:
        """Nothing moves under this name any more."""
        self._paces.pop(name, None)

    def _pace(self, name: str, bytes_per_second: int | None) -> Pace | None:
        if bytes_per_second is None:
            return None
        known = self._paces.get(name)
        if known is None or known[0] != bytes_per_second:
            known = self._paces[name] = (bytes_per_second, Pace(bytes_per_second, self._now()))
        return known[1]
