"""A tree that changes behind the reader's back, against a plain model: by the engine, and by a mount that is killed.

At once a reader sees a version that was there (R4), never another's bytes; when what is believed has run out (N1), all
is as the archive has it: names, kinds, sizes, bytes. So it stays over restarts, kills, and a cache of a few blocks.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import random
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from campaign.faults import SkippingClock
from jupyter_alc.core.dataset import Access, MountedDataset
from jupyter_alc.core.errors import FileNotThere, IsFolder, NotFolder, VersionChanged
from jupyter_alc.dms.engine.engine import DmsEngine, Tuning
from jupyter_alc.dms.engine.planner import BLOCK
from jupyter_alc.testing.data_service import DataService

pytestmark = pytest.mark.integration

NAMES = ["a", "b", "d/a", "d/deep/c", "E", "e"]
SIZES = st.one_of(st.sampled_from([0, 1, BLOCK - 1, BLOCK, BLOCK + 1]), st.integers(2, 5 * BLOCK))
QUOTAS = st.sampled_from([2 * BLOCK, 5 * BLOCK, 10**9])


class ChangingTree(RuleBasedStateMachine):
    """What happens to the tree, and what is asked. A door says how to start, stop, wait, list and read."""

    names = st.sampled_from(NAMES)

    def __init__(self):
        super().__init__()
        self.place = Path(tempfile.mkdtemp(prefix="alc-model-"))
        self.top = self.place / "archive"
        self.top.mkdir()
        self.model: dict[str, bytes] = {}
        self.ever: dict[str, list[bytes]] = {}
        self.dataset = MountedDataset("ds", "Data", "local", f"file://{self.top}", Access.READ)
        self.quota = 10**9
        self.start()

    @rule(name=names, size=SIZES, seed=st.integers(0, 2**32))
    def change(self, name, size, seed):
        text = random.Random(seed).randbytes(size)
        whole = self.place / "whole"
        whole.write_bytes(text)
        (self.top / name).parent.mkdir(parents=True, exist_ok=True)
        whole.replace(self.top / name)
        self.model[name] = text
        self.ever.setdefault(name, []).append(text)

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def remove(self, data):
        name = data.draw(st.sampled_from(sorted(self.model)))
        (self.top / name).unlink()
        del self.model[name]

    @rule()
    def remove_a_folder(self):
        shutil.rmtree(self.top / "d", ignore_errors=True)
        for name in [one for one in self.model if one.startswith("d/")]:
            del self.model[name]

    @precondition(lambda self: self.ever)
    @rule(data=st.data(), start=st.integers(0, 5 * BLOCK), size=st.sampled_from([1, 4096, BLOCK, 5 * BLOCK]))
    def read_at_once(self, data, start, size):
        """Of some version that was there, and of one alone."""
        name = data.draw(st.sampled_from(sorted(self.ever)))
        told = self.read(name, start, size)
        if told is not None:
            whole, got = told
            assert any(len(one) == whole and got == one[start : start + size] for one in self.ever[name])

    @rule()
    def all_is_as_it_is(self):
        self.wait()
        seen = self.walk("")
        folders = {str(Path(name).parent) for name in self.model} | {"d/deep", "d"}
        assert {name for name, size in seen.items() if size is not None} == set(self.model)
        assert {name for name, size in seen.items() if size is None} <= folders
        for name, text in self.model.items():
            assert seen[name] == len(text)
            assert self.read(name, 0, len(text) + 1) == (len(text), text)

    @rule(quota=QUOTAS)
    def restart(self, quota):
        self.stop()
        self.quota = quota
        self.start()

    def walk(self, folder):
        """Sizes of files and None of folders, by their paths."""
        found = {}
        for name, size in self.listing(folder):
            path = f"{folder}/{name}" if folder else name
            found |= {path: size} | (self.walk(path) if size is None else {})
        return found

    def teardown(self):
        try:
            self.all_is_as_it_is()
        finally:
            self.stop()
            self.end()
            shutil.rmtree(self.place)


class ThroughTheEngine(ChangingTree):
    def __init__(self):
        self.loop, self.clock = asyncio.new_event_loop(), SkippingClock()
        super().__init__()

    def do(self, call):
        return self.loop.run_until_complete(asyncio.wait_for(call, 30))

    def start(self):
        tuning = Tuning(quota_bytes=self.quota, keep_free_bytes=0)
        self.engine = DmsEngine(self.place / "volume", [self.dataset], user="ada", tuning=tuning, clock=self.clock)
        self.do(self.engine.start())

    def stop(self):
        self.do(self.engine.stop())

    def end(self):
        self.loop.close()

    def wait(self):
        self.clock.skip(7)

    def listing(self, folder):
        told = self.do(self.engine.ls(f"ds/{folder}".rstrip("/")))
        return [(one.name, None if one.is_folder else one.size) for one in told]

    def read(self, name, start, size):
        async def reading():
            handle = await self.engine.open(f"ds/{name}")
            try:
                return handle.size, await self.engine.read(handle, start, start + size)
            finally:
                await self.engine.close(handle)

        try:
            return self.do(reading())
        except (FileNotThere, VersionChanged, IsFolder, NotFolder):
            return None


class ThroughTheMount(ChangingTree):
    def start(self):
        data = self.place / "data"
        self.service = DataService(self.place, [self.dataset], mount=data, extra={"quota_bytes": self.quota})
        assert self.service.start()["mounted"]
        self.data = data / "ds"

    def stop(self):
        self.service.stop()

    def end(self):
        subprocess.run(["umount", "-l", str(self.place / "data")], check=False, capture_output=True)

    @rule(quota=QUOTAS)
    def kill(self, quota):
        self.service.kill()
        self.quota = quota
        self.start()

    def wait(self):
        time.sleep(6.2)  # an absence is believed for five seconds, an attribute by kernel and service for one each

    def listing(self, folder):
        with os.scandir(self.data / folder) as inside:
            return [(one.name, None if one.is_dir() else one.stat().st_size) for one in inside]

    def read(self, name, start, size):
        try:
            with contextlib.closing(_Raw(self.data / name)) as file:
                return file.size(), file.read(start, size)
        except OSError as error:
            if error.errno not in {errno.ENOENT, errno.ESTALE, errno.EISDIR, errno.ENOTDIR}:
                raise
            return None


class _Raw:
    """A file read past Python's buffers."""

    def __init__(self, path):
        self.file = os.open(path, os.O_RDONLY)

    def size(self):
        return os.fstat(self.file).st_size

    def read(self, start, size):
        got = b""
        while len(got) < size and (piece := os.pread(self.file, size - len(got), start + len(got))):
            got += piece
        return got

    def close(self):
        os.close(self.file)


def run(machine, examples, steps):
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples, stateful_step_count=steps, deadline=None, database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )  # fmt: skip


def test_a_tree_that_changes_behind_the_engine_is_read_right():
    run(ThroughTheEngine, 15, 20)


@pytest.mark.root
@pytest.mark.fuse
def test_a_tree_that_changes_behind_a_mount_is_read_right_over_kills():
    run(ThroughTheMount, 1, 5)


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_many_trees_that_change_behind_the_engine():
    run(ThroughTheEngine, 300, 50)


@pytest.mark.long
@pytest.mark.root
@pytest.mark.fuse
@pytest.mark.timeout(1800)
def test_many_trees_that_change_behind_a_mount():
    run(ThroughTheMount, 25, 20)
