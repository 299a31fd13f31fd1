"""HDF5 files read by h5py through the engine, over a line of 20 ms; F1 to F3 of docs/semantics/dms.md."""

import asyncio
import io
import os
import struct
import threading
import time

import h5py
import numpy as np
import pytest

import nexus
from jupyter_alc.core.dataset import Access, MountedDataset
from jupyter_alc.dms.adapters.local import LocalAdapter
from jupyter_alc.dms.engine.engine import Tuning
from jupyter_alc.dms.formats.hdf5 import Hdf5
from jupyter_alc.testing.engines import running_engine
from stalls import Stalls

pytestmark = pytest.mark.integration
PAGE, KERNEL_READS = 4096, 128 * 1024
MIB = 1 << 20
SHAPE = nexus.Shape(logs=30, banks=2, events=1_200_000, frames=6, pixels=600)


class FarAway(LocalAdapter):
    """A folder at the end of a line that takes 20 ms for each answer; what was read is written down."""

    def __init__(self, url, credentials):
        super().__init__(url, credentials)
        self.reads = []

    async def read_range(self, path, start, stop, if_token):
        self.reads.append((start, stop))
        await asyncio.sleep(0.02)
        return await super().read_range(path, start, stop, if_token)

    @property
    def moved(self):
        return sum(stop - start for start, stop in self.reads)


class Mounted(io.RawIOBase):
    """A file as a program reads it through a kernel: pages are kept, requests are of whole pages and at most 128 KiB,
    and 128 KiB are read ahead of somebody who reads on."""

    def __init__(self, fetch, size):
        self._fetch, self._size, self._at, self._last = fetch, size, 0, -1
        self._pages = {}

    def readable(self):
        return True

    def seekable(self):
        return True

    def seek(self, offset, whence=0):
        self._at = offset + (0, self._at, self._size)[whence]
        return self._at

    def tell(self):
        return self._at

    def readinto(self, buffer):
        start, stop = self._at, min(self._size, self._at + len(buffer))
        ahead = KERNEL_READS if start == self._last else 0
        for page in range(start // PAGE, -(-stop // PAGE)):
            if page not in self._pages:
                self._bring(page, min(stop + ahead, (page * PAGE) + KERNEL_READS, self._size))
        got = b"".join(self._pages[page] for page in range(start // PAGE, -(-stop // PAGE)))
        buffer[: stop - start] = got[start % PAGE : start % PAGE + stop - start]
        self._at = self._last = stop
        return stop - start

    def _bring(self, page, stop):
        got = self._fetch(page * PAGE, min(-(-stop // PAGE) * PAGE, self._size))
        for at in range(0, len(got), PAGE):
            self._pages.setdefault(page + at // PAGE, got[at : at + PAGE])


class Running:
    """An engine on a loop of its own; `turns` are how long its loop slept for 5 ms, where somebody measures."""

    def __init__(self, top, volume, tuning=None):
        self.top, self.adapter, self.turns, self.stalls = top, None, [], None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        dataset = MountedDataset("far", "Far", "local", str(top), Access.READ, published=False)
        self._context = running_engine(volume, [dataset], adapters=self._adapter, tuning=tuning)

    def __enter__(self):
        self.engine = self.call(self._context.__aenter__())
        self._watch = asyncio.run_coroutine_threadsafe(self._look(), self._loop)
        return self

    def __exit__(self, *error):
        self._watch.cancel()
        self.call(self._context.__aexit__(None, None, None))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def call(self, work):
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    def read(self, name, trace, **options):
        """What `trace` reads of a file, by h5py."""
        handle = self.call(self.engine.open(f"far/{name}"))

        def fetch(start, stop):
            got = handle.cached(start, stop)
            return self.call(self.engine.read(handle, start, stop)) if got is None else got

        try:
            with h5py.File(Mounted(fetch, handle.size), "r", **options) as file:
                return trace(file)
        finally:
            self.call(self.engine.close(handle))

    def _adapter(self, dataset):
        self.adapter = FarAway(dataset.url, {})
        return self.adapter

    async def _look(self):
        while True:
            stalls = self.stalls
            before = stalls and stalls.mark()
            await asyncio.sleep(0.005)
            if stalls is not None:
                self.turns.append((before, stalls.mark()))


@pytest.fixture
def top(tmp_path):
    (tmp_path / "top").mkdir()
    return tmp_path / "top"


@pytest.fixture
def running(tmp_path, top):
    with Running(top, tmp_path / "volume") as made:
        yield made


def settled(place):
    os.utime(place, (1_700_000_000, 1_700_000_000))
    return place


def same(got, wanted):
    return all(np.array_equal(*each) for each in zip(got, wanted, strict=True))


@pytest.mark.parametrize("compression", [None, "gzip"])
@pytest.mark.parametrize("libver", ["earliest", "latest"])
@pytest.mark.parametrize("trace", sorted(nexus.TRACES))
def test_what_is_read_is_what_is_there(running, top, trace, libver, compression):
    place = settled(nexus.make(top / "run.nxs", nexus.SMALL, libver=libver, compression=compression))
    with h5py.File(place) as file:
        wanted = nexus.TRACES[trace](file)
    assert same(running.read("run.nxs", nexus.TRACES[trace]), wanted)
    assert len(set(running.adapter.reads)) == len(running.adapter.reads)


def test_the_bar_one_frame_of_a_large_file_moves_little(running, top):
    """2.1 MB are needed, and at most 3 MB may move."""
    place = settled(nexus.make(top / "run.nxs"))
    with h5py.File(place) as file:
        wanted = nexus.one_frame(file)
    assert np.array_equal(running.read("run.nxs", nexus.one_frame), wanted)
    assert running.adapter.moved <= 3_000_000
    assert len(running.adapter.reads) <= 6


@pytest.mark.parametrize("libver", ["earliest", "latest"])
def test_f2_a_read_in_a_chunk_brings_the_chunk_by_one_request(running, top, libver):
    place = settled(nexus.make(top / "run.nxs", SHAPE, libver=libver))
    running.read("run.nxs", lambda file: file["entry/detector/counts"][0])
    count = len(running.adapter.reads)
    running.read("run.nxs", lambda file: file["entry/detector/counts"][4])
    with h5py.File(place) as file:
        chunk = file["entry/detector/counts"].id.get_chunk_info(4)
    blocks = [at // 65_536 for at in (chunk.byte_offset, chunk.byte_offset + chunk.size - 1)]
    assert running.adapter.reads[count:] == [(blocks[0] * 65_536, (blocks[1] + 1) * 65_536)]


@pytest.mark.parametrize("libver", ["earliest", "latest"])
def test_f3_a_walk_is_filled_ahead_and_does_not_leave_the_dataset(running, top, libver):
    place = settled(nexus.make(top / "run.nxs", SHAPE, libver=libver))
    with h5py.File(place) as file:
        wanted = file["entry/bank1_events/event_id"][:]
        chunks = file["entry/bank1_events/event_id"].id.get_num_chunks()
    with Stalls() as stalls:
        begun = stalls.mark()
        got = running.read("run.nxs", lambda file: file["entry/bank1_events/event_id"][:])
        seconds = stalls.since(begun)
    assert np.array_equal(got, wanted)
    assert running.adapter.moved <= wanted.nbytes + 768 * 1024
    assert seconds < 0.02 * chunks + 0.3  # of which most is the way to the dataset


def test_f3_a_walk_goes_on_over_the_pages_of_an_index(running, top):
    """3,000 chunks of 16 KiB are 47 pages: what each tells is fetched before the reader is there."""
    data = np.random.default_rng(1).integers(0, 255, 3000 * 16_384, dtype="u1")
    with h5py.File(top / "long.h5", "w") as file:
        file.create_dataset("long", data=data, chunks=(16_384,))
    settled(top / "long.h5")
    assert np.array_equal(running.read("long.h5", lambda file: file["long"][:]), data)
    assert running.adapter.moved <= 1.125 * data.nbytes  # what is here may be part of a request (R9)
    assert len(running.adapter.reads) < 250


def test_f4_a_file_that_lies_about_its_chunks_is_read_right(running, top):
    """Every index page says that each chunk is where the next one is, and twice as large."""
    place = nexus.make(top / "run.nxs", nexus.SMALL)
    content = bytearray(place.read_bytes())
    at = content.find(b"TREE\x01")
    while at >= 0:
        for entry in range(at + 24, at + 24 + 32 * int.from_bytes(content[at + 6 : at + 8], "little"), 32):
            content[entry + 1 : entry + 3] = b"\xff\x1f"
        at = content.find(b"TREE\x01", at + 1)
    place.write_bytes(content)
    settled(place)
    handle = running.call(running.engine.open("far/run.nxs"))
    for start in [
        *range(0, MIB, 30_000),
        *range(len(content) - MIB, len(content), 70_000),
        *range(0, len(content), 90_001),
    ]:
        assert running.call(running.engine.read(handle, start, start + 5000)) == content[start : start + 5000]
    running.call(running.engine.close(handle))
    assert running.adapter.moved <= len(content) + 8 * MIB


def test_f1_a_large_index_does_not_block_the_loop(running, top):
    """60,000 chunks are learned at once; a busy computer has three tries."""
    blocked = []
    for number in range(3):
        with h5py.File(top / f"{number}.h5", "w", libver="latest") as file:
            file.create_dataset("many", data=np.arange(300_000, dtype="u4"), chunks=(5,))
        settled(top / f"{number}.h5")
        with Stalls(loop=True) as stalls:
            running.turns, running.stalls = [], stalls
            running.read(f"{number}.h5", lambda file: file["many"][100_000:130_000])
            running.stalls = None
            blocked.append(max(stalls.between(*turn) for turn in running.turns) - 0.005)
    assert min(blocked) < 0.05


def test_f1_an_index_that_we_fail_at_fails_no_reader(running, top, monkeypatch):
    def fail(*_):
        raise struct.error("no such thing")

    monkeypatch.setattr(Hdf5, "learn", fail)
    place = settled(nexus.make(top / "run.nxs", nexus.SMALL))
    with h5py.File(place) as file:
        wanted = nexus.one_bank(file)
    assert same(running.read("run.nxs", nexus.one_bank), wanted)


def test_a_walk_under_a_quota_of_a_few_mebibytes_is_right(tmp_path, top):
    settled(nexus.make(top / "run.nxs", SHAPE))
    with Running(top, tmp_path / "volume", Tuning(quota_bytes=3 * MIB)) as running:
        got = running.read("run.nxs", nexus.one_bank)
        with h5py.File(top / "run.nxs") as file:
            assert same(got, nexus.one_bank(file))
        assert running.engine._cache.used_bytes <= 3 * MIB


def test_a_file_that_grows_by_swmr_is_read_as_it_was_opened(running, top):
    """Each opening sees a version of its own, whole."""
    place = top / "live.h5"
    with h5py.File(place, "w", libver="latest") as file:
        file.create_dataset("counts", (0, 100, 100), "u2", chunks=(1, 100, 100), maxshape=(None, 100, 100))
    for frames in (40, 300):
        with h5py.File(place, "a", libver="latest") as file:
            file.swmr_mode = True
            file["counts"].resize(frames, 0)
            file["counts"][-10:] = frames
            file["counts"].flush()
        time.sleep(1.1)  # so long the name of a file that may change is believed
        assert (running.read("live.h5", lambda file: file["counts"][-10:]) == frames).all()
