"""What stays open for a reader that may come back, and for how long (R13)."""

import asyncio

import pytest

from jupyter_alc.core.dataset import Access, MountedDataset
from jupyter_alc.dms.engine.engine import Tuning
from jupyter_alc.dms.readers import MOST_KEPT, Readers
from jupyter_alc.testing.engines import put, running_engine

pytestmark = pytest.mark.integration


@pytest.fixture
async def engine(tmp_path):
    (tmp_path / "archive").mkdir()
    (tmp_path / "archive" / "a.bin").write_bytes(b"abc")
    results = MountedDataset("results", "Results", "local", str(tmp_path / "archive"), Access.WRITE)
    async with running_engine(tmp_path / "volume", [results], tuning=Tuning(settle_seconds=30)) as running:
        yield running


def lent(readers, engine, who, path="results/a.bin"):
    return readers.handle((who, path, "t"), lambda: engine.open(path))


async def test_a_reader_gets_its_own_handle_again_and_nobody_elses(engine):
    """Two readers of one file are two streams."""
    readers = Readers(engine)
    async with lent(readers, engine, "one") as first:
        pass
    async with lent(readers, engine, "one") as again, lent(readers, engine, "two") as other:
        assert again is first
        assert other is not first
    assert readers.kept == 2


async def test_what_is_idle_is_closed_but_never_in_use(engine):
    """A reader says no goodbye."""
    readers = Readers(engine, idle_seconds=0)
    async with lent(readers, engine, "one") as handle:
        async with lent(readers, engine, "one") as same:
            assert same is handle
        await asyncio.sleep(0.05)
        assert not handle.closed
    while readers.kept:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0)
    assert handle.closed


async def test_readers_without_end_do_not_keep_files_without_end(engine):
    """The longest idle goes first."""
    readers = Readers(engine)
    for number in range(MOST_KEPT + 20):
        async with lent(readers, engine, f"reader {number}"):
            pass
    assert readers.kept == MOST_KEPT


async def test_unsent_data_is_not_held_open(engine):
    """What waits to be sent is in the hands of its writers alone."""
    await put(engine, "results/new.bin", b"new")
    readers = Readers(engine)
    async with lent(readers, engine, "one", "results/new.bin") as handle:
        assert handle.cached(0, 3) == b"new"
    assert readers.kept == 0
    assert handle.closed
