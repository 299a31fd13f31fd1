"""The cache's folder on the disk: one of this layout, with an index that can be used."""

from __future__ import annotations

import logging
import shutil
import sqlite3
import threading
from pathlib import Path

from jupyter_alc.core.clock import random_id
from jupyter_alc.dms.engine.index import Index, place_of

log = logging.getLogger(__name__)


def drop_others(folder: Path, top: Path) -> None:
    """Remove caches of other layouts than `top`'s: all that is in them is in the archives."""
    for old in folder.glob("v*"):
        if old != top:
            _throw_away(old)


def open_index(top: Path) -> Index:
    """The index in `top`; one that is damaged or finds no room starts empty, at worst in memory."""
    for _ in range(2):
        try:
            top.mkdir(parents=True, exist_ok=True, mode=0o700)
            return Index(top)
        except (sqlite3.DatabaseError, OSError) as error:
            log.warning("The cache's index cannot be used (%s); the cache starts empty.", error)
            _throw_away(top)
    return Index(None)


def make_folders(top: Path) -> None:
    """Make the folders that files of versions lie in: whoever waits for the first ones need not."""
    for digit in "0123456789abcdef":
        Path(place_of(top, digit)).parent.mkdir(exist_ok=True, mode=0o700)


def _throw_away(folder: Path) -> None:
    """Take `folder` out of the way at once, and remove it beside all else: that may take long."""
    aside = folder.with_name(f"v-gone-{random_id('cache')}")
    try:
        folder.rename(aside)
    except OSError:
        shutil.rmtree(folder, ignore_errors=True)
    else:
        threading.Thread(target=shutil.rmtree, args=(aside,), kwargs={"ignore_errors": True}, daemon=True).start()
