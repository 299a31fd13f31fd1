"""What the cache does while it is read: rules R5 and R6 of docs/semantics/dms.md."""

from __future__ import annotations

import os

import pytest

from jupyter_alc.dms.engine.blocks import BlockFile, beside
from jupyter_alc.dms.engine.cache import Cache
from jupyter_alc.dms.engine.planner import BLOCK, Extent

pytestmark = pytest.mark.unit
BLOCKS = 40


def test_r5_all_damaged_blocks_of_a_read_are_found_by_it(tmp_path):
    """Else each would cost a read of its own, and a read gives up after three."""
    stored = BlockFile(tmp_path / "one", BLOCKS * BLOCK)
    stored.store(Extent(0, BLOCKS * BLOCK), os.urandom(BLOCKS * BLOCK))
    stored.close()
    with (tmp_path / "one").open("r+b") as data:
        for number in range(0, BLOCKS, 2):
            data.seek(beside(BLOCKS * BLOCK) + number * BLOCK)
            data.write(b"damaged!")
    after = BlockFile(tmp_path / "one", BLOCKS * BLOCK)
    try:
        assert after.read(0, BLOCKS * BLOCK) is None
        assert after.dropped == BLOCKS // 2
        assert list(after.here()) == list(range(1, BLOCKS, 2))
    finally:
        after.close()


class ReadAllTheTime(BlockFile):
    """One that threads of the mount read from between any two looks at it."""

    reads = 0

    @property
    def served(self):
        """How many reads were answered."""
        self.reads += 1
        return self.reads

    @served.setter
    def served(self, count):
        self.reads = count


def test_r6_what_is_read_all_the_time_gives_way_when_there_is_nothing_else(tmp_path):
    cache = Cache(tmp_path, BLOCKS * BLOCK, keep_free_bytes=0)
    version = cache.open("ds", "archive", "file", "v1", BLOCKS * BLOCK)
    version.file.__class__ = ReadAllTheTime
    try:
        extent = Extent(0, (BLOCKS - 2) * BLOCK)
        room = version.needs(extent)
        assert cache.reserve(room)
        cache.landed(version, version.file.store(extent, os.urandom(extent.size)), room)
        assert cache.reserve(4 * BLOCK)
        assert cache.counts().evictions == 1
    finally:
        cache.stop()
