"""What is fetched ahead of a reader: streams, small files, Parquet; R8, R10 and R11 of docs/semantics/dms.md."""

import asyncio
import os

import pytest

from jupyter_alc.core.dataset import Access, MountedDataset
from jupyter_alc.dms.adapters.local import LocalAdapter
from jupyter_alc.dms.engine.blocks import beside
from jupyter_alc.dms.engine.reading import Reading
from jupyter_alc.testing.engines import get, running_engine
from stalls import Stalls

pytestmark = pytest.mark.integration
MIB = 1024 * 1024
SECONDS = 0.02


class FarAway(LocalAdapter):
    """A folder at the end of a line that takes 20 ms for each answer; what was read is written down."""

    def __init__(self, url, credentials):
        super().__init__(url, credentials)
        self.reads, self.now = [], 0

    async def read_range(self, path, start, stop, if_token):
        self.reads.append((path, start, stop))
        self.now += 1
        try:
            await asyncio.sleep(SECONDS)
            return await super().read_range(path, start, stop, if_token)
        finally:
            self.now -= 1

    async def quiet(self):
        """Return when all is answered and for a while nothing was asked."""
        turns = 0
        while turns < 20:
            count = len(self.reads)
            await asyncio.sleep(SECONDS / 2)
            turns = 0 if self.now or len(self.reads) > count else turns + 1


@pytest.fixture
def top(tmp_path):
    (tmp_path / "top").mkdir()
    return tmp_path / "top"


@pytest.fixture
async def far(tmp_path, top):
    """An engine on the folder `top`, and its adapter."""
    made = []

    def adapter(dataset):
        made.append(FarAway(dataset.url, {}))
        return made[0]

    dataset = MountedDataset("far", "Far", "local", str(top), Access.READ, published=True)
    async with running_engine(tmp_path / "volume", [dataset], adapters=adapter) as engine:
        yield engine, made[0]


def old(path, content):
    """A file that was not changed just now, so that its version is settled."""
    path.write_bytes(content)
    os.utime(path, (1_700_000_000, 1_700_000_000))
    return content


async def read_on(engine, handle, step):
    """Read as the mount does: hits without the engine's loop, misses through it."""
    got, waits = [], 0
    for at in range(0, handle.size, step):
        piece = await asyncio.to_thread(handle.cached, at, at + step)
        if piece is None:
            waits += 1
            piece = await engine.read(handle, at, at + step)
        got.append(piece)
    return b"".join(got), waits


async def test_r8_a_stream_of_hits_is_filled_ahead_and_every_byte_comes_once(far, top):
    engine, adapter = far
    content = old(top / "stream", os.urandom(64 * MIB + 17))
    handle = await engine.open("far/stream")
    with Stalls() as stalls:
        begun = stalls.mark()
        got, waits = await read_on(engine, handle, 128 * 1024)
        seconds = stalls.since(begun)
    await engine.close(handle)
    assert got == content
    assert sum(stop - start for _, start, stop in adapter.reads) == len(content)
    assert 4 * MIB < max(stop - start for _, start, stop in adapter.reads) <= 8 * MIB
    assert waits < 100
    assert seconds < 0.5 * SECONDS * len(content) / (128 * 1024)


async def test_r8_a_jump_ends_it(far, top):
    engine, adapter = far
    content = old(top / "stream", os.urandom(64 * MIB))
    handle = await engine.open("far/stream")
    for at in range(0, 8 * MIB, 128 * 1024):
        await engine.read(handle, at, at + 128 * 1024)
    await engine.read(handle, 60 * MIB, 60 * MIB + 10)
    await adapter.quiet()
    count = len(adapter.reads)
    for at in range(8 * MIB - 640 * 1024, 8 * MIB, 128 * 1024):
        assert await engine.read(handle, at, at + 128 * 1024) == content[at : at + 128 * 1024]
    assert handle.cached(59 * MIB, 59 * MIB + 10) is None
    assert len(adapter.reads) <= count + 1
    await engine.close(handle)


async def test_r8_after_the_archive_was_away_a_stream_is_one_again(far, top):
    engine, adapter = far
    content = old(top / "stream", os.urandom(32 * MIB))
    handle = await engine.open("far/stream")
    for at in range(0, 16 * MIB, 128 * 1024):
        await engine.read(handle, at, at + 128 * 1024)
    await adapter.quiet()
    reader = handle.reader
    for number in range(16 * MIB // 65_536, 32 * MIB // 65_536):  # as if nothing of its window had come
        if reader._version.file.has(number):
            reader._version.file.drop(number)
    before = len(adapter.reads)
    got = [await engine.read(handle, at, at + 128 * 1024) for at in range(16 * MIB, 32 * MIB, 128 * 1024)]
    assert b"".join(got) == content[16 * MIB :]
    assert len(adapter.reads) - before < 20
    await engine.close(handle)


async def test_r9_what_is_wanted_at_once_is_one_plan(far, top):
    engine, adapter = far
    content = old(top / "file", os.urandom(8 * MIB))
    handle = await engine.open("far/file")
    await engine.read(handle, 4 * MIB, 4 * MIB + 10)  # so that the line's latency is known
    before = len(adapter.reads)
    places = [MIB, MIB + 64 * 1024, MIB + 3 * 64 * 1024, MIB + 5, 7 * MIB]
    got = await asyncio.gather(*(engine.read(handle, at, at + 1000) for at in places))
    assert got == [content[at : at + 1000] for at in places]
    assert adapter.reads[before:] == [("file", MIB, MIB + 256 * 1024), ("file", 7 * MIB, 7 * MIB + 64 * 1024)]
    await engine.close(handle)


async def test_r10_small_files_in_order_come_ahead_in_parallel(far, top):
    """Three times as fast as in an order that tells nothing."""
    engine, adapter = far
    contents, names, seconds = {}, {}, {}
    for folder in ("onward", "backward"):
        (top / folder).mkdir()
        contents[folder] = [old(top / folder / f"run-{number:03}.dat", os.urandom(4096)) for number in range(100)]
        names[folder] = [one.name for one in await engine.ls(f"far/{folder}")]
    contents["backward"].reverse()
    names["backward"].reverse()
    with Stalls() as stalls:
        for folder in ("backward", "onward"):
            begun = stalls.mark()
            assert [await get(engine, f"far/{folder}/{name}") for name in names[folder]] == contents[folder]
            seconds[folder] = stalls.since(begun)
    every = [(f"{folder}/{name}", 0, 4096) for folder in names for name in names[folder]]
    assert sorted(adapter.reads) == sorted(every)
    assert seconds["onward"] < seconds["backward"] / 3


async def test_r10_of_small_files_that_are_here_none_is_opened_ahead_and_damaged_ones_are_found(
    tmp_path, top, monkeypatch
):
    """The reader's own open looks at the checksums (R5)."""
    (top / "runs").mkdir()
    content = {f"run-{n:03}.dat": old(top / "runs" / f"run-{n:03}.dat", os.urandom(5000)) for n in range(100)}
    dataset = MountedDataset("far", "Far", "local", str(top), Access.READ, published=True)
    adapter, opened = FarAway(str(top), {}), []
    reading_open = Reading.open

    def counted(reading, link, path, entry):
        opened.append(path)
        return reading_open(reading, link, path, entry)

    monkeypatch.setattr(Reading, "open", counted)
    for again in range(3):
        if again == 2:
            damaged = max((tmp_path / "volume/cache").rglob("*.data"))
            with damaged.open("r+b") as file:
                file.seek(beside(5000) + 4000)
                file.write(b"damaged!")
        before = len(adapter.reads)
        opened.clear()
        async with running_engine(tmp_path / "volume", [dataset], adapters=lambda _: adapter) as engine:
            await engine.ls("far/runs")
            for name, text in content.items():
                assert await get(engine, f"far/runs/{name}") == text
        assert len(adapter.reads) - before == (100, 0, 1)[again]
        assert [len(opened) > len(content), len(opened) == len(content), True][again]


async def test_r11_the_footer_of_a_parquet_file_comes_with_its_first_bytes(far, top):
    engine, adapter = far
    content = old(top / "table.parquet", b"PAR1" + os.urandom(2 * MIB))
    handle = await engine.open("far/table.parquet")
    await engine.read(handle, 0, 4)
    for at in (len(content) - 8, len(content) - 60_000):
        assert await engine.read(handle, at, len(content)) == content[at:]
    assert [one[1] for one in adapter.reads] == [0, len(content) // 65_536 * 65_536 - 65_536]
    await engine.close(handle)
