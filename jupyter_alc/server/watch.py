"""Looks at the three parts now and then: tells the browser what changed, and renews the leases of living clusters.

One task per part. Each looks again after its time, or at once when a handler changed something. A part that does not
answer changes nothing: "could not ask" is not a change.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from jupyter_alc.core.errors import AlcError
from jupyter_alc.core.states import ClusterState

if TYPE_CHECKING:
    import logging

Look = Callable[[], Awaitable[Any]]
Tell = Callable[[str], None]

# what changes without anybody wanting to be told
QUIET: Final = frozenset({"lease_until", "requests", "used", "cached_bytes", "pid", "daemon"})
LIVING: Final = frozenset({ClusterState.ASKED, ClusterState.STARTING, ClusterState.READY, ClusterState.STOPPING})


class Watch:
    """Calls `looks[part]()` every `every_seconds[part]` and `tell(part)` when the answer is another than before."""

    def __init__(
        self, looks: Mapping[str, Look], every_seconds: Mapping[str, float], tell: Tell, log: logging.Logger
    ) -> None:
        self._looks, self._every, self._tell, self._log = looks, every_seconds, tell, log
        self._wake = {part: asyncio.Event() for part in looks}
        self._seen: dict[str, str] = {}
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin; once."""
        self._tasks = [asyncio.ensure_future(self._forever(part)) for part in self._looks]

    def look(self, part: str) -> None:
        """Look at `part` now."""
        if part in self._wake:
            self._wake[part].set()

    async def stop(self) -> None:
        """End the looking; nothing that was looked at is ended."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []

    async def look_once(self, part: str) -> None:
        """Look at `part`, and tell if it is another than at the last look that was answered."""
        try:
            answer = await self._looks[part]()
        except AlcError as error:
            self._log.debug("could not look at %s: %s", part, error.code)
            return
        mark = digest(answer)
        if self._seen.setdefault(part, mark) != mark:
            self._seen[part] = mark
            self._tell(part)

    async def _forever(self, part: str) -> None:
        while True:
            try:
                await self.look_once(part)
            except Exception:  # noqa: BLE001  (the top of a loop that must go on)
                self._log.exception("looking at %s failed", part)
            try:
                await asyncio.wait_for(self._wake[part].wait(), self._every[part])
            except TimeoutError:
                continue
            self._wake[part].clear()


def digest(answer: Any) -> str:
    """A mark that is equal for answers that differ only in what nobody wants to be told."""
    return hashlib.sha256(json.dumps(_without_quiet(answer), sort_keys=True, default=str).encode()).hexdigest()


def _without_quiet(answer: Any) -> Any:
    if isinstance(answer, Mapping):
        return {name: _without_quiet(value) for name, value in answer.items() if name not in QUIET}
    return [_without_quiet(one) for one in answer] if isinstance(answer, list) else answer
