"""The one thread that does for the cache what the disk must do, in the order in which it was decided."""

from __future__ import annotations

import logging
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from jupyter_alc.dms.engine.index import Index

log = logging.getLogger(__name__)
T = TypeVar("T")


class Noted(Protocol):
    """A version, as the index knows it; `noted`: the index knows that it changes."""

    key: str
    dataset: str
    path: str
    token: str
    noted: bool


class _Row(NamedTuple):
    """That a version changes from now on, or, where it was closed, what it holds."""

    version: Noted
    held: int | None


class Hand:
    """`parted` is called for each version of which was noted that it was closed. Its methods are for every thread."""

    def __init__(self, index: Index, parted: Callable[[Noted], None]) -> None:
        self._index, self._parted = index, parted
        self._thread = ThreadPoolExecutor(1, "alc-cache")
        self._lock = threading.Lock()
        self._rows: list[_Row] | None = None  # the last that the thread was given, while it has not begun
        self._written: Future[None]

    def do(self, work: Callable[[], T]) -> Future[T]:
        """Do `work` in its turn: what is to be noted from now on comes after it."""
        with self._lock:
            self._rows = None
            return self._thread.submit(work)

    def later(self, work: Callable[[], None]) -> None:
        """Do `work` in its turn; nobody hears of it."""
        self.do(lambda: told(work))

    def note(self, version: Noted, held: int | None = None) -> Future[None]:
        """Note that a version changes, or that it was closed and holds so much; `OSError` where there is no room.

        What is to be noted one after the other is one transaction: rows cost more than small files do. Its future is
        shared, so nobody cancels it.
        """
        with self._lock:
            if self._rows is None:
                self._rows = []
                self._written = self._thread.submit(self._write, self._rows)
            self._rows.append(_Row(version, held))
            return self._written

    def note_now(self, version: Noted) -> None:
        """Note that a version changes; for work that is being done."""
        if not version.noted:
            self._write([_Row(version, None)])

    def stop(self) -> None:
        """Do all that was decided, and let go of the index."""
        self.do(self._index.close)
        self._thread.shutdown()

    def _write(self, rows: list[_Row]) -> None:
        with self._lock:
            if self._rows is rows:
                self._rows = None
        changed = list[Noted]()
        try:
            with self._index.changing():
                for version, held in rows:
                    if held is not None:
                        self._index.closed(version.key, held)
                        version.noted = False
                    elif not version.noted:
                        self._index.opened(version.key, version.dataset, version.path, version.token)
                        version.noted = True
                        changed.append(version)
        except OSError as error:  # whoever wants to store hears of it; whose turn it is to go may be told wrongly
            log.warning("The cache's disk refuses (%s).", error)
            for version in changed:
                version.noted = False
            raise
        finally:
            for version, held in rows:
                if held is not None:
                    told(partial(self._parted, version))


def told(work: Callable[[], None]) -> None:
    """Do `work`, and say in the log what the disk refuses."""
    try:
        work()
    except (OSError, sqlite3.Error) as error:  # what is not done now costs room or a fetch, never a byte
        log.warning("The cache's disk refuses (%s).", error)
