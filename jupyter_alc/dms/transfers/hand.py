"""The one thread that has the rows: whoever asks waits for it without holding up the event loop."""

from __future__ import annotations

import asyncio
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from jupyter_alc.core.errors import NoSpace

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
T = TypeVar("T")


class Hand:
    """Runs what is handed to it, one after the other."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "alc-transfers")

    async def do(self, work: Callable[P, T], *given: P.args, **named: P.kwargs) -> T:
        """The answer of `work`; `NoSpace` when the disk takes no more."""
        try:
            return await asyncio.wrap_future(self._thread.submit(work, *given, **named))
        except (sqlite3.OperationalError, OSError) as error:
            raise NoSpace(
                "The disk of your data volume takes no more, not even the list of transfers.",
                next_step="Remove unsent files you do not need, then resume the transfer.",
            ) from error

    async def stop(self, last: Callable[[], object]) -> None:
        """Do what was handed in before, then `last`, and end."""
        await self.do(last)
        self._thread.shutdown()
