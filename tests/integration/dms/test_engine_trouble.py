"""The engine when something goes wrong in the middle: lost answers, full disks, late listings, odd names."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
import subprocess
import time
from dataclasses import replace

import pytest

from jupyter_alc.core.clock import SystemClock
from jupyter_alc.core.errors import ArchiveUnreachable, FileNotThere, NoSpace, NotFolder, VersionChanged
from jupyter_alc.dms.adapters.interface import AnsweredBadly
from jupyter_alc.dms.adapters.local import LocalAdapter
from jupyter_alc.dms.engine import link as link_module
from jupyter_alc.dms.engine.engine import Tuning
from jupyter_alc.dms.engine.link import Link
from jupyter_alc.testing.engines import get, put, running_engine
from stalls import Stalls

pytestmark = pytest.mark.integration


class Troubled(LocalAdapter):
    """A folder whose next publication, listing or read can be made to go wrong."""

    lose_answers = 0
    listing_waits: asyncio.Event | None = None
    refuse: type[Exception] | None = None
    read_seconds = 0.0
    away = False

    async def publish(self, path, upload_id, *, base):
        if self.refuse is not None and path.startswith("poison"):
            raise self.refuse("The archive answered with HTTP 500.")
        entry = await super().publish(path, upload_id, base=base)
        if self.lose_answers:
            self.lose_answers -= 1
            raise AnsweredBadly("The answer was lost.")
        return entry

    async def info(self, path):
        self._answer()
        return await super().info(path)

    def _answer(self):
        if self.away:
            raise ArchiveUnreachable("Nobody answers.")

    async def listing_pages(self, path):
        self._answer()
        found = [page async for page in super().listing_pages(path)]
        if self.listing_waits is not None:
            await self.listing_waits.wait()
        for page in found:
            yield page

    async def read_range(self, path, start, stop, if_token):
        await asyncio.sleep(self.read_seconds)
        return await super().read_range(path, start, stop, if_token)


@pytest.fixture
def adapter(behind):
    return Troubled(f"file://{behind}", {})


@pytest.fixture
async def engine(tmp_path, dataset, adapter):
    async with running_engine(tmp_path / "volume", [dataset], adapters=lambda _: adapter) as engine:
        yield engine


async def until(told, seconds=20):
    async with asyncio.timeout(seconds):
        while not told():
            await asyncio.sleep(0.01)


async def test_a_file_published_with_a_lost_answer_and_removed_does_not_come_back(engine, adapter, behind):
    adapter.lose_answers = 1
    await put(engine, "ds/file", b"ours")
    await until(lambda: adapter.lose_answers == 0)
    await engine.unlink("ds/file")
    assert await engine.flush(20) == []
    assert list(behind.iterdir()) == []
    assert await engine.ls("ds") == []


async def test_a_file_published_with_a_lost_answer_and_renamed_is_there_once(engine, adapter, behind):
    adapter.lose_answers = 1
    await put(engine, "ds/file", b"ours")
    await until(lambda: adapter.lose_answers == 0)
    await engine.rename("ds/file", "ds/other")
    assert await engine.flush(20) == []
    assert {one.name: one.read_bytes() for one in behind.iterdir()} == {"other": b"ours"}


async def test_w5_our_own_version_of_a_lost_answer_is_no_conflict_for_what_replaces_it(engine, adapter, behind):
    adapter.lose_answers = 1
    await put(engine, "ds/file", b"ours")
    await until(lambda: adapter.lose_answers == 0)
    await put(engine, "ds/.tmp", b"ours again")
    await engine.rename("ds/.tmp", "ds/file")
    assert await engine.flush(20) == []
    assert {one.name: one.read_bytes() for one in behind.iterdir()} == {"file": b"ours again"}


async def test_a_listing_that_began_before_a_change_of_ours_does_not_hide_it(engine, adapter, behind):
    (behind / "old").write_bytes(b"old")
    adapter.listing_waits = asyncio.Event()
    late = asyncio.create_task(engine.ls("ds"))
    await asyncio.sleep(0.1)
    await put(engine, "ds/new", b"new")
    await engine.mkdir("ds/folder")
    await engine.unlink("ds/old")
    assert await engine.flush(20) == []
    adapter.listing_waits.set()
    assert "new" in [one.name for one in await late]
    assert (await engine.info("ds/new")).size == 3
    assert (await engine.info("ds/folder")).is_folder
    assert [one.name for one in await engine.ls("ds")] == ["folder", "new"]
    with pytest.raises(FileNotThere):
        await engine.info("ds/old")


async def test_n3_a_name_that_changed_while_its_folder_was_listed_is_not_missed_when_the_archive_is_away(
    engine, adapter, behind
):
    (behind / "kept").write_bytes(b"kept")
    (behind / "changing").write_bytes(bytes(700_000))
    handle = await engine.open("ds/changing")
    await engine.read(handle, 0, 10)
    adapter.listing_waits = asyncio.Event()
    late = asyncio.create_task(engine.ls("ds"))
    await asyncio.sleep(0.05)
    (behind / "changing").write_bytes(bytes(700_001))
    with pytest.raises(VersionChanged):
        await engine.read(handle, 600_000, 600_010)
    await engine.close(handle)
    adapter.listing_waits.set()
    assert [one.name for one in await late] == ["changing", "kept"]
    adapter.away = True
    with contextlib.suppress(ArchiveUnreachable):
        assert [one.name for one in await engine.ls("ds")] == ["changing", "kept"]


async def test_a_file_that_the_archive_fails_at_leaves_the_rest_of_the_dataset_readable(engine, adapter, behind):
    (behind / "good").write_bytes(b"good")
    adapter.refuse = AnsweredBadly
    await put(engine, "ds/poison", b"x")
    await until(lambda: engine.unsent()[0].problem is not None)
    assert await get(engine, "ds/good") == b"good"
    assert engine.status()[0].state == "unsent"
    adapter.refuse = None
    assert await engine.flush(20) == []


async def test_a_mistake_in_tidying_up_does_not_end_the_sending(engine, behind, monkeypatch):
    def full(*_):
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(engine._staging, "leftovers", full)
    engine._saveback.wake()
    await asyncio.sleep(0.1)
    await put(engine, "ds/file", b"ours")
    await until((behind / "file").exists)


async def test_r6_a_cache_whose_index_takes_no_more_rows_is_read_past(engine, behind):
    for number in range(40):
        (behind / f"f{number:03}{'x' * 180}").write_bytes(os.urandom(1000))
    pages = engine._cache._index._connection.execute("PRAGMA page_count").fetchone()[0]
    engine._cache._index._connection.execute(f"PRAGMA max_page_count={pages}")
    for one in behind.iterdir():
        assert await get(engine, f"ds/{one.name}") == one.read_bytes()


async def test_results_of_a_dataset_that_is_not_here_today_wait_and_keep_nobody(tmp_path, dataset, behind):
    other = replace(dataset, id="other")
    away = replace(dataset, url=f"file://{behind}/away")
    async with running_engine(tmp_path / "volume", [away], tuning=Tuning(settle_seconds=60)) as engine:
        (behind / "away").mkdir()
        await put(engine, "ds/late", b"late")
    async with running_engine(tmp_path / "volume", [other]) as engine:
        assert await engine.flush(5) == []
        told = engine.unsent()
        assert [(one.path, one.problem["code"]) for one in told] == [("ds/late", "unavailable")]
        assert "ds" in told[0].problem["next_step"]
    async with running_engine(tmp_path / "volume", [away]) as engine:
        assert await engine.flush(20) == []
    assert (behind / "away" / "late").read_bytes() == b"late"


async def test_a_whole_file_brought_into_staging_leaves_the_loop_free(engine, behind, monkeypatch):
    size = 120_000_000
    (behind / "big").write_bytes(os.urandom(size))
    await get(engine, "ds/big")
    turns, seen = 0, []
    adopt = engine._staging.adopt
    monkeypatch.setattr(engine._staging, "adopt", lambda file: (seen.append(turns), adopt(file)))

    async def other():
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    handle = await engine.open("ds/big", write=True)
    task = asyncio.create_task(other())
    await engine.write(handle, 0, b"x")
    task.cancel()
    await engine.close(handle)
    assert seen[0] >= size // 1024**2, "others have their turn between any two pieces"


async def test_a_staged_file_is_no_folder(engine):
    await put(engine, "ds/file", b"x")
    with pytest.raises(NotFolder):
        await engine.ls("ds/file")


async def test_a_name_that_is_no_text_is_read_where_the_archive_has_it(engine, behind):
    odd = os.fsencode(behind) + b"/odd-\xff"
    with open(odd, "wb") as file:  # noqa: PTH123  (a name that no Path prints)
        file.write(b"odd")
    assert await get(engine, os.fsdecode(b"ds/odd-\xff")) == b"odd"


async def test_waiting_for_a_turn_is_not_taken_for_an_archive_that_is_away(dataset, adapter):
    link, started = Link(dataset, adapter, SystemClock(), 2.5, lambda: None), []

    async def slow():
        started.append(time.monotonic())
        await asyncio.sleep(0.6)
        return 1

    begun = time.monotonic()
    assert await asyncio.gather(*(link.ask(slow) for _ in range(48))) == [1] * 48
    assert max(started) - begun > 2.5, "the last waited for longer than an answer may take"
    assert link.reachable


async def test_r7_an_archive_that_is_back_is_found_while_earlier_questions_still_hang(dataset, adapter, monkeypatch):
    monkeypatch.setattr(link_module, "REST_SECONDS", 0.05)
    link, back = Link(dataset, adapter, SystemClock(), 5.0, lambda: None), False

    async def hang():
        await asyncio.Event().wait()

    async def answer():
        if not back:
            raise ArchiveUnreachable("Nobody answers.", next_step="Wait.")
        return 1

    with pytest.raises(ArchiveUnreachable):
        await link.ask(answer)
    await asyncio.sleep(0.06)
    hangs = asyncio.create_task(link.ask(hang))
    await asyncio.sleep(0.06)
    back = True
    with Stalls() as stalls:
        begun = stalls.mark()
        assert await link.ask(answer) == 1
        assert stalls.since(begun) < 1
    assert link.reachable
    assert not hangs.done()
    hangs.cancel()


async def fill(engine, handle):
    for at in range(0, 8_000_000, 131_072):
        await engine.write(handle, at, bytes(131_072))


@pytest.mark.root
async def test_on_a_full_disk_the_cache_goes_before_results_and_what_was_closed_is_still_sent(
    tmp_path, dataset, behind
):
    volume = tmp_path / "volume"
    volume.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m,mode=700", "tmpfs", volume], check=True)
    try:
        (behind / "big").write_bytes(os.urandom(8_000_000))
        async with running_engine(volume, [dataset], tuning=Tuning(settle_seconds=60, keep_free_bytes=0)) as engine:
            await get(engine, "ds/big")
            assert engine.status()[0].cached_bytes > 6_000_000
            await put(engine, "ds/result", bytes(8_000_000))
            handle = await engine.open("ds/too-much", write=True, create=True)
            with pytest.raises(NoSpace):
                await fill(engine, handle)
            left = await engine.flush(20)
            assert [one.path for one in left] == ["ds/too-much"]
            assert (behind / "result").read_bytes() == bytes(8_000_000)
            await engine.unlink("ds/too-much")
            await engine.close(handle)
            await put(engine, "ds/after", b"room again")
            assert await engine.flush(20) == []
    finally:
        subprocess.run(["umount", "-l", volume], check=False)
