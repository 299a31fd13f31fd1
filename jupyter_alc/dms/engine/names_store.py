"""The rows of names behind one thread of their own: questions take turns, so what was noted is seen by who asks after.

A database that fails is begun anew, at last in memory: names are a cache, and reading goes on without one.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Final, TypeVar

from jupyter_alc.core.errors import ArchiveUnreachable
from jupyter_alc.dms.engine.names_rows import NameRows

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

log = logging.getLogger(__name__)

T = TypeVar("T")

MOST_NAMES: Final = 4_000_000
MOST_IN_MEMORY: Final = 200_000


class NamesLost(ArchiveUnreachable):
    """What was known of names is gone in the middle of something; begin again."""


class NameStore:
    """Names of an engine's datasets, in `folder`/names.sqlite or, without a folder, in memory. One event loop."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="names")
        self._rows: NameRows | None = None
        self._failed = 0

    @property
    def life(self) -> int:
        """Which rows these are: another number when they were lost and begun anew."""
        return self._failed

    async def ask(self, question: Callable[[NameRows], T], *, life: int | None = None) -> T:
        """The answer, after all that was asked before.

        `life`: only of the rows of that number, `NamesLost` if they are no more; else new ones are asked.
        """
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._answer, question, life)

    def tell(self, change: Callable[[NameRows], T], then: Callable[[T], object] | None = None) -> None:
        """Change the rows in turn, without waiting; `then` hears the answer, later and on this loop."""

        def done(answered: asyncio.Future[T]) -> None:
            if answered.cancelled() or answered.exception() is not None:
                log.debug("A change of what is known of names was lost with what was known.")
            elif then is not None:
                then(answered.result())

        with suppress(RuntimeError):  # at the very end nobody takes notes any more
            told = asyncio.get_running_loop().run_in_executor(self._thread, self._answer, change, None)
            told.add_done_callback(done)

    async def stop(self) -> None:
        """Finish what was asked, and close."""
        self._thread.submit(self._close)
        await asyncio.to_thread(self._thread.shutdown)

    def _answer(self, question: Callable[[NameRows], T], life: int | None) -> T:
        for last in (False, False, True):  # the rows as they are, new ones, some in memory
            if life is not None and life != self._failed:
                raise _lost()
            if self._rows is None:
                self._rows = self._open()
            try:
                return question(self._rows)
            except sqlite3.Error as error:
                log.warning("What is known of names was lost, and is asked for again: %s", error)
                self._failed += 1
                self._close()
                if last:
                    raise _lost() from error
        raise AssertionError

    def _open(self) -> NameRows:
        """The rows of an earlier life, else new ones, else some in memory."""
        if self._folder is not None and self._failed < 2:
            for anew in (self._failed > 0, True):
                with suppress(sqlite3.Error, OSError):
                    self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                    if anew:
                        for old in self._folder.glob("names.sqlite*"):
                            old.unlink()
                    return NameRows(self._folder / "names.sqlite", MOST_NAMES)
            log.warning("The volume takes no list of names; it is kept in memory.")
        return NameRows(None, MOST_IN_MEMORY)

    def _close(self) -> None:
        rows, self._rows = self._rows, None
        if rows is not None:
            with suppress(sqlite3.Error):
                rows.close()


def _lost() -> NamesLost:
    return NamesLost("The list of names was lost.", next_step="Try again.")
