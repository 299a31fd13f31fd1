"""A folder of this computer, read through some names at a time, so that a large one takes no memory."""

from __future__ import annotations

import itertools
import os
import threading
from typing import TYPE_CHECKING, Final

from jupyter_alc.dms.adapters.interface import HIDDEN

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

AT_ONCE: Final = 1000


class Scan:
    """One reader of a folder, in threads, one call at a time: who gives up may close it while another thread reads."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._inside: Iterator[os.DirEntry[str]] | None = None
        self._closed = False

    def more(self) -> list[tuple[str, os.stat_result]]:
        """The next names with what is known of each, in no order; [] behind the last. `OSError` as the system says.

        Links and uploads on their way are left out, and so is what went meanwhile.
        """
        with self._lock:
            if self._inside is None and not self._closed:
                self._inside = os.scandir(self._folder)
            while self._inside is not None:
                some = list(itertools.islice(self._inside, AT_ONCE))
                told = [(one.name, seen) for one in some if (seen := _seen(one)) is not None]
                if told or not some:
                    return told
            return []

    def close(self) -> None:
        """Let go of the folder."""
        with self._lock:
            if self._inside is not None:
                self._inside.close()  # type: ignore[attr-defined]  # what `os.scandir` returns can be closed
            self._inside, self._closed = None, True


def _seen(one: os.DirEntry[str]) -> os.stat_result | None:
    if one.name.startswith(HIDDEN) or one.is_symlink():
        return None
    try:
        return one.stat(follow_symlinks=False)
    except FileNotFoundError:
        return None
