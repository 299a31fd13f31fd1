"""Archives that are away, and fast parts of `python -m campaign away hung grep`: rules R6, R7 and N3."""

from __future__ import annotations

import asyncio

import pytest

from campaign import away
from campaign.faults import SkippingClock
from jupyter_alc.core.dataset import Access, MountedDataset
from jupyter_alc.core.errors import ArchiveUnreachable
from jupyter_alc.dms.adapters.local import LocalAdapter
from jupyter_alc.dms.engine.engine import Tuning
from jupyter_alc.testing.engines import get, running_engine
from stalls import Stalls

pytestmark = pytest.mark.integration


class Hanging(LocalAdapter):
    """A folder that answers as long as it is `there`."""

    there, waiting = True, 0

    async def info(self, path):
        await self._wait()
        return await super().info(path)

    async def read_range(self, path, start, stop, if_token):
        await self._wait()
        return await super().read_range(path, start, stop, if_token)

    async def _wait(self):
        if not self.there:
            self.waiting += 1
            await asyncio.sleep(60)


async def test_r7_one_caller_finds_out_whether_the_archive_is_back_and_nobody_else_waits_for_it(tmp_path):
    (tmp_path / "archive").mkdir()
    for name in ("known", "other"):
        (tmp_path / "archive" / name).write_bytes(b"x" * 999)
    adapter, clock = Hanging(f"file://{tmp_path}/archive", {}), SkippingClock()
    dataset = MountedDataset("ds", "Data", "local", f"file://{tmp_path}/archive", Access.READ)
    async with running_engine(
        tmp_path / "volume", [dataset], tuning=Tuning(deadline_seconds=5), clock=clock, adapters=lambda _: adapter
    ) as engine:
        assert await get(engine, "ds/known") == b"x" * 999
        adapter.there = False
        clock.skip()
        with pytest.raises(ArchiveUnreachable):
            await get(engine, "ds/other")
        clock.skip()
        waiting, finds_out = adapter.waiting, asyncio.create_task(get(engine, "ds/other"))
        while adapter.waiting == waiting:
            await asyncio.sleep(0.01)
        with Stalls() as stalls:
            began = stalls.mark()
            assert await get(engine, "ds/known") == b"x" * 999
            with pytest.raises(ArchiveUnreachable):
                await engine.info("ds/never-seen")
            assert stalls.since(began) < 1
        assert not finds_out.done()
        adapter.there = True
        with pytest.raises(ArchiveUnreachable):
            await finds_out
        clock.skip()
        assert await get(engine, "ds/other") == b"x" * 999


@pytest.mark.root
@pytest.mark.fuse
def test_r7_while_the_archive_is_away_what_is_here_is_read_and_the_rest_is_eio_within_the_deadline(tmp_path):
    figures = away.away(tmp_path, 4, seed=3, deadline=1.0)
    assert figures.right, str(figures)
    assert figures.cached_reads > 10
    assert figures.refused > 10


@pytest.mark.root
@pytest.mark.fuse
def test_r7_two_dozen_fetches_that_hang_leave_a_read_of_what_is_here_as_quick_as_ever(tmp_path):
    figures = away.hung(tmp_path, 15, seed=3, deadline=4.0)
    assert figures.right, str(figures)
    assert figures.cached_ms[1] < 50


@pytest.mark.root
@pytest.mark.fuse
def test_r6_grep_through_a_tree_larger_than_the_quota_ends_right_and_within_it(tmp_path):
    figures = away.grep(tmp_path, 600, seed=3, quota=4 << 20)
    assert figures.right, str(figures)
