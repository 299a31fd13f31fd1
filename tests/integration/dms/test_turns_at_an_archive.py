"""Requests that hang hold up nobody else: R14 of docs/semantics/dms.md."""

import asyncio
import os

import pytest

from jupyter_alc.core.dataset import Access, MountedDataset
from jupyter_alc.core.errors import ArchiveUnreachable
from jupyter_alc.dms.adapters.local import LocalAdapter
from jupyter_alc.dms.engine.engine import Tuning
from jupyter_alc.testing.engines import running_engine
from stalls import Stalls

pytestmark = pytest.mark.integration
MIB = 1024 * 1024


class Hanging(LocalAdapter):
    """A folder of which one file is never answered, and others while `on` is set; what was asked is written down."""

    def __init__(self, url, credentials):
        super().__init__(url, credentials)
        self.asked, self.on = [], asyncio.Event()
        self.on.set()

    async def read_range(self, path, start, stop, if_token):
        self.asked.append((path, start))
        if path == "hung":
            await asyncio.Event().wait()
        await asyncio.sleep(0.02)
        await self.on.wait()
        return await super().read_range(path, start, stop, if_token)


@pytest.fixture
async def archive(tmp_path):
    """An engine, its adapter, and the bytes of three files of 32 MiB."""
    content, made = os.urandom(32 * MIB), []
    (tmp_path / "top").mkdir()
    for name in ("hung", "other", "seen"):
        (tmp_path / "top" / name).write_bytes(content)
        os.utime(tmp_path / "top" / name, (1e9, 1e9))

    def adapter(dataset):
        made.append(Hanging(dataset.url, {}))
        return made[0]

    dataset = MountedDataset("ds", "Data", "local", str(tmp_path / "top"), Access.READ, published=True)
    tuning = Tuning(deadline_seconds=6)
    async with running_engine(tmp_path / "volume", [dataset], adapters=adapter, tuning=tuning) as engine:
        yield engine, made[0], content


async def test_r14_24_that_hang_hold_up_neither_what_is_here_nor_another_file(archive):
    engine, _, content = archive
    seen = await engine.open("ds/seen")
    await engine.read(seen, 0, 4096)
    other, hung = await engine.open("ds/other"), await engine.open("ds/hung")
    waiting = [asyncio.create_task(engine.read(hung, n * MIB, n * MIB + 10)) for n in range(24)]
    await asyncio.sleep(0.2)
    with Stalls() as stalls:
        for _ in range(20):
            began = stalls.mark()
            assert await engine.read(seen, 0, 4096) == content[:4096]
            assert stalls.since(began) < 0.05
        began = stalls.mark()
        assert await engine.read(other, 7 * MIB, 7 * MIB + 10) == content[7 * MIB : 7 * MIB + 10]
        assert stalls.since(began) < 3
    for number in range(8, 30):  # and from now on at once
        await engine.read(other, number * MIB, number * MIB + 10)
    told = await asyncio.gather(*waiting, return_exceptions=True)
    assert all(isinstance(one, ArchiveUnreachable) for one in told)
    assert await engine.read(other, 31 * MIB, 31 * MIB + 10) == content[31 * MIB : 31 * MIB + 10]
    for handle in (seen, other, hung):
        await engine.close(handle)


async def test_r14_a_miss_goes_before_what_is_fetched_ahead(archive):
    engine, adapter, content = archive
    stream, other = await engine.open("ds/seen"), await engine.open("ds/other")
    for at in range(0, 12 * MIB, MIB // 8):
        await engine.read(stream, at, at + MIB // 8)
    adapter.on.clear()  # so that nothing is answered before the miss stands in line
    before = len(adapter.asked)
    missed = asyncio.create_task(engine.read(other, 5 * MIB, 5 * MIB + 10))
    await asyncio.sleep(0.2)
    adapter.on.set()
    assert await missed == content[5 * MIB : 5 * MIB + 10]
    asked = [path for path, _ in adapter.asked[before:]]
    assert asked.index("other") <= 1
    for handle in (stream, other):
        await engine.close(handle)
