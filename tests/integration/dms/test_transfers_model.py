"""The life of transfers, in any order of what people, archives and restarts do; T2, T3, T4, T7."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from jupyter_alc.core.dataset import Access, MountedDataset
from jupyter_alc.core.errors import ArchiveUnreachable, FileNotThere, IllegalMove
from jupyter_alc.dms.adapters.local import LocalAdapter
from jupyter_alc.dms.engine import link
from jupyter_alc.dms.engine.engine import DmsEngine, Tuning
from jupyter_alc.dms.transfers import course
from jupyter_alc.dms.transfers.access import EngineTransfers
from jupyter_alc.testing.engines import get

pytestmark = pytest.mark.integration

NAMES = [f"{folder}/{name}" for folder in ("a", "b") for name in ("1", "2", "3")]
ENDED = {"done", "failed", "cancelled"}


class Fragile(LocalAdapter):
    """A folder that can be out of reach."""

    away = False

    async def read_range(self, path, start, stop, if_token):
        await asyncio.sleep(0.002)
        self._must_be_there()
        return await super().read_range(path, start, stop, if_token)

    async def info(self, path):
        self._must_be_there()
        return await super().info(path)

    async def listing_pages(self, path):
        self._must_be_there()
        async for page in super().listing_pages(path):
            yield page

    def _must_be_there(self):
        if Fragile.away:
            raise ArchiveUnreachable("It is away.", next_step="Wait.")


class Life(RuleBasedStateMachine):
    """Three files in each of two folders, one engine, and whatever happens to them."""

    def __init__(self):
        super().__init__()
        self.runner = asyncio.Runner()
        self.place = Path(tempfile.mkdtemp(prefix="alc-l-"))
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(link, "REST_SECONDS", 0.0)
        self.patch.setattr(course, "_FIRST_WAIT_SECONDS", 0.01)
        self.patch.setattr(course, "_LONGEST_WAIT_SECONDS", 0.05)
        Fragile.away, self.versions = False, 0
        self.tree, self.known, self.over = {}, {}, {}
        for name in NAMES:
            self._write(name)
        self._start()

    def _write(self, name):
        self.versions += 1
        path = self.place / "top" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        content = self.versions.to_bytes(4, "big") * (20_000 + self.versions)
        path.write_bytes(content)
        os.utime(path, (1_600_000_000 + self.versions, 1_600_000_000 + self.versions))
        self.tree[name] = content

    def _start(self):
        async def start():
            dataset = MountedDataset("raw", "Raw", "local", str(self.place / "top"), Access.READ)
            self.engine = DmsEngine(
                self.place / "volume",
                [dataset],
                user="ada",
                adapters=lambda one: Fragile(one.url, {}),
                tuning=Tuning(keep_free_bytes=0),
            )
            await self.engine.start()
            self.transfers = EngineTransfers(self.engine, self.place / "volume")
            await self.transfers.start()

        self.runner.run(start())

    def _stop(self):
        async def stop():
            await self.transfers.stop()
            await self.engine.stop()

        self.runner.run(stop())

    def ask(self, question):
        return self.runner.run(question)

    @rule(paths=st.lists(st.sampled_from(["raw", "raw/a", "raw/b", "raw/a/1"]), min_size=1, max_size=2))
    def fetch(self, paths):
        try:
            told = self.ask(self.transfers.fetch(paths))
        except FileNotThere:
            assert "a/1" not in self.tree
            return
        self.known[told["id"]] = told["state"]

    @rule(data=st.data())
    def cancel(self, data):
        if self.known:
            id = data.draw(st.sampled_from(sorted(self.known)))
            assert self.ask(self.transfers.cancel(id))["state"] in ENDED

    @rule(data=st.data())
    def resume(self, data):
        if self.known:
            id = data.draw(st.sampled_from(sorted(self.known)))
            try:
                self.ask(self.transfers.resume(id))
            except IllegalMove:
                return
            self.over.pop(id, None)

    @rule(away=st.booleans())
    def the_archive_goes_or_comes(self, away):
        Fragile.away = away

    @rule(name=st.sampled_from(NAMES))
    def a_file_changes(self, name):
        self._write(name)

    @rule(name=st.sampled_from(NAMES))
    def a_file_goes(self, name):
        (self.place / "top" / name).unlink(missing_ok=True)
        self.tree.pop(name, None)

    @rule(seconds=st.sampled_from([0.0, 0.01, 0.05]))
    def time_passes(self, seconds):
        self.ask(asyncio.sleep(seconds))

    @rule()
    def the_service_starts_anew(self):
        self._stop()
        self._start()

    @invariant()
    def every_transfer_is_known_and_honest(self):
        told = {one["id"]: one for one in self.ask(self.transfers.transfers())}
        assert set(told) == set(self.known)
        for id, one in told.items():
            assert one["problem"] is None or one["problem"]["code"] != "internal", one
            assert 0 <= one["files_done"] + one["failed_files"] <= max(one["files"], 1) or one["state"] == "listing", (
                one
            )
            assert (one["ended"] is not None) == (one["state"] in ENDED), one
            if one["state"] == "done":
                assert one["files_done"] == one["files"], one
                assert one["done_bytes"] == one["size_bytes"], one
                assert self.over.setdefault(id, one) == one  # done is done

    def teardown(self):
        try:
            Fragile.away = False
            self.ask(self._all_end())
            self.ask(self._all_is_right())
        finally:
            self._stop()
            self.runner.close()
            self.patch.undo()
            shutil.rmtree(self.place)

    async def _all_end(self):
        async with asyncio.timeout(30):
            while any(one["state"] not in ENDED for one in await self.transfers.transfers()):
                await asyncio.sleep(0.01)

    async def _all_is_right(self):
        """Fetched anew, everything is here in the version that is in the archive now."""
        await asyncio.sleep(1.01)  # names of a live dataset are believed for a second
        if not self.tree:
            return
        id = (await self.transfers.fetch(["raw"]))["id"]
        self.known[id] = ""
        await self._all_end()
        told = await self.transfers.transfer(id)
        assert (told["state"], told["files_done"]) == ("done", len(self.tree)), told
        before = self.engine.status()[0].moved_bytes
        for name, content in self.tree.items():
            assert await get(self.engine, f"raw/{name}") == content
        assert self.engine.status()[0].moved_bytes == before


TestLife = Life.TestCase
TestLife.settings = settings(
    max_examples=12, stateful_step_count=14, deadline=None, suppress_health_check=list(HealthCheck)
)
