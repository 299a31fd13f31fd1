"""What each reader needed and what moved for it (S2, S3). A reader is a session of processes, such as a kernel's.

Counted where bytes are handed out and where they come in, by any thread; told when somebody asks.
"""

from __future__ import annotations

import threading
from collections import OrderedDict, defaultdict
from dataclasses import dataclass
from typing import Any, Final

MOST_OPENERS: Final = 200


@dataclass(frozen=True, slots=True)
class Opener:
    """Who opens a file: a POSIX session by its id, when it began (clock ticks since boot), and its leader's name."""

    sid: int
    since: int = 0
    name: str = ""


NOBODY: Final = Opener(0, 0, "others")
"""For whoever cannot be known: outside this machine's processes, or gone already."""


class Share:
    """What one reader had of one dataset."""

    __slots__ = ("_lock", "moved_bytes", "needed_bytes")

    def __init__(self) -> None:
        self.needed_bytes = self.moved_bytes = 0
        self._lock = threading.Lock()

    def need(self, size: int) -> None:
        """Count bytes that the reader got."""
        with self._lock:
            self.needed_bytes += size

    def move(self, size: int) -> None:
        """Count bytes that came from the archive because of it."""
        with self._lock:
            self.moved_bytes += size

    @property
    def from_cache_bytes(self) -> int:
        """What it needed and did not have to be moved for it; at least so much, as what was read ahead moved too."""
        return max(0, self.needed_bytes - self.moved_bytes)


@dataclass(frozen=True, slots=True)
class Figures:
    """One reader's sums over all datasets."""

    opener: Opener
    needed_bytes: int
    moved_bytes: int
    cached_bytes: int

    def as_json(self) -> dict[str, Any]:
        """The form of `GET /v1/readers`."""
        return {
            "sid": self.opener.sid,
            "since": self.opener.since,
            "name": self.opener.name,
            "needed_bytes": self.needed_bytes,
            "moved_bytes": self.moved_bytes,
            "cached_bytes": self.cached_bytes,
        }


class Accounts:
    """The shares of the last `MOST_OPENERS` readers; those of earlier ones still count for their datasets."""

    def __init__(self) -> None:
        self._shares: OrderedDict[Opener, dict[str, Share]] = OrderedDict()
        self._past_from_cache: defaultdict[str, int] = defaultdict(int)

    def share(self, opener: Opener, dataset: str) -> Share:
        """The share to count on for a file that `opener` opens."""
        of_opener = self._shares.setdefault(opener, {})
        self._shares.move_to_end(opener)
        while len(self._shares) > MOST_OPENERS:
            _, ended = self._shares.popitem(last=False)
            for name, share in ended.items():
                self._past_from_cache[name] += share.from_cache_bytes
        return of_opener.setdefault(dataset, Share())

    def from_cache_bytes(self, dataset: str) -> int:
        """What all readers of a dataset needed and did not have to be moved for them."""
        now = sum(shares[dataset].from_cache_bytes for shares in self._shares.values() if dataset in shares)
        return self._past_from_cache[dataset] + now

    def readers(self) -> list[Figures]:
        """Every reader that got something, who opened a file last first."""
        told = [_sums(opener, shares) for opener, shares in reversed(self._shares.items())]
        return [one for one in told if one.needed_bytes or one.moved_bytes]


def _sums(opener: Opener, shares: dict[str, Share]) -> Figures:
    every = shares.values()
    return Figures(
        opener,
        sum(one.needed_bytes for one in every),
        sum(one.moved_bytes for one in every),
        sum(one.from_cache_bytes for one in every),
    )
