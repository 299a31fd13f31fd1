"""The engine against the real example archive, by the rules of docs/semantics/dms.md."""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from importlib.resources import files

import h5py
import pytest

from jupyter_alc.core.dataset import Access
from jupyter_alc.core.errors import (
    ArchiveUnreachable,
    BadInput,
    Conflict,
    Exists,
    FileNotThere,
    IsFolder,
    NotEmpty,
    NotFolder,
    OtherDataset,
    ReadOnly,
    VersionChanged,
)
from jupyter_alc.dms.engine.blocks import beside
from jupyter_alc.dms.engine.engine import Tuning
from jupyter_alc.testing.archive_service import ArchiveService
from jupyter_alc.testing.engines import get, put, running_engine

pytestmark = pytest.mark.integration
EXAMPLES = files("sasdata") / "example_data"


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    service = ArchiveService(tmp_path_factory.mktemp("archive"))
    service.start()
    yield service
    service.stop()


@pytest.fixture
def sans(archive):
    results = archive.dataset("ada", Access.READ, published=True)
    return replace(results, id="sans-examples", url=results.url.replace("results/ada", "sans-examples"))


@pytest.fixture
def results(archive, request):
    """A folder of its own for each test."""
    folder = f"t{abs(hash(request.node.name))}"
    (archive.results("ada") / folder).mkdir()
    dataset = archive.dataset("ada")
    return replace(dataset, url=f"{dataset.url}/{folder}")


@pytest.fixture
def behind(archive, results):
    """The folder of `results` on the archive's own disk."""
    return archive.results("ada") / results.url.rpartition("/")[2]


@pytest.fixture
async def engine(tmp_path, sans, results):
    async with running_engine(tmp_path / "volume", [sans, results]) as engine:
        yield engine


def since(archive, count):
    return archive.requests()[count:]


async def test_r1_a_read_is_exact_and_short_only_at_the_end(engine):
    expected = (EXAMPLES / "2d_data" / "BAM_2D.h5").read_bytes()
    handle = await engine.open("sans-examples/2d_data/BAM_2D.h5")
    for start, stop in ((0, 10), (65_530, 65_540), (5_000_000, 5_300_001), (len(expected) - 5, len(expected) + 100)):
        assert await engine.read(handle, start, stop) == expected[start:stop]
        assert handle.cached(start, stop) == expected[start:stop]
    assert await engine.read(handle, len(expected) + 1, len(expected) + 9) == b""
    assert handle.cached(9_000_000, 9_000_001) is None
    await engine.close(handle)


async def test_n2_listing_everything_reads_no_file_and_costs_at_most_1_kib_a_name(engine, archive):
    before = len(archive.requests())
    names, folders = 0, ["sans-examples"]
    while folders:
        folder = folders.pop()
        for one in await engine.ls(folder):
            names += 1
            if one.is_folder:
                folders.append(f"{folder}/{one.name}")
    told = since(archive, before)
    assert names > 120
    assert {one["method"] for one in told} == {"PROPFIND"}
    assert sum(one["bytes_sent"] + one["bytes_received"] for one in told) <= 1024 * names


async def test_r2_the_proof_of_a_spawn_moves_at_most_256_kib(engine, archive):
    before = len(archive.requests())
    handle = await engine.open("sans-examples/2d_data/BAM_2D.h5")
    await engine.read(handle, 0, 4096)
    await engine.close(handle)
    gets = [one for one in since(archive, before) if one["method"] == "GET"]
    assert len(gets) == 1
    assert gets[0]["range"].startswith("bytes=0-")
    assert gets[0]["bytes_sent"] <= 256 * 1024


async def test_r2_a_small_file_comes_whole_and_once(engine, archive):
    before = len(archive.requests())
    first = await get(engine, "sans-examples/README.txt")
    assert first == await get(engine, "sans-examples/README.txt") == (EXAMPLES / "README.txt").read_bytes()
    assert [one["method"] for one in since(archive, before)].count("GET") == 1


async def test_r3_twenty_readers_of_one_extent_cause_one_fetch(engine, archive):
    before = len(archive.requests())
    handles = [await engine.open("sans-examples/2d_data/BAM_2D.h5") for _ in range(20)]
    got = await asyncio.gather(*(engine.read(one, 1_000_000, 1_100_000) for one in handles))
    assert len(set(got)) == 1
    gets = [one for one in since(archive, before) if one["method"] == "GET"]
    assert len(gets) == 1
    for one in handles:
        await engine.close(one)


async def test_a_stream_moves_every_byte_once_in_few_requests(engine, archive):
    before = len(archive.requests())
    expected = (EXAMPLES / "2d_data" / "BAM_2D.h5").read_bytes()
    handle = await engine.open("sans-examples/2d_data/BAM_2D.h5")
    got = [await engine.read(handle, at, at + 131_072) for at in range(0, len(expected), 131_072)]
    await engine.close(handle)
    assert b"".join(got) == expected
    gets = [one for one in since(archive, before) if one["method"] == "GET"]
    assert len(gets) < 32  # while it is young it asks often, for little
    async with asyncio.timeout(20):  # a request ends, and is counted, a moment after its last block is here
        while (status := next(one for one in engine.status() if one.id == "sans-examples")).moved_bytes < len(expected):
            await asyncio.sleep(0.01)
    assert status.moved_bytes == status.needed_bytes == len(expected)
    assert len(expected) <= status.cached_bytes <= len(expected) + 2 * 4096  # whole pages, and the checksums


class Opened:
    """What h5py reads through: the engine, in windows as a kernel asks for them."""

    def __init__(self, engine, handle, loop):
        self.engine, self.handle, self.loop, self.at = engine, handle, loop, 0

    def seek(self, offset, whence=0):
        self.at = offset if whence == 0 else self.at + offset if whence == 1 else self.handle.size + offset
        return self.at

    def tell(self):
        return self.at

    def read(self, size=-1):
        stop = self.handle.size if size < 0 else self.at + size
        got = self.handle.cached(self.at, stop)
        if got is None:
            got = asyncio.run_coroutine_threadsafe(self.engine.read(self.handle, self.at, stop), self.loop).result()
        self.at += len(got)
        return got

    def readinto(self, buffer):
        got = self.read(len(buffer))
        buffer[: len(got)] = got
        return len(got)


def central_frame(opened, stored):
    with h5py.File(opened) as file:
        data = file["sasentry01/data/I"]
        rows, columns = ((n - 260) // 2 for n in data.shape)
        window = (slice(rows, rows + 260), slice(columns, columns + 260))
        for number in range(data.id.get_num_chunks()):
            chunk = data.id.get_chunk_info(number)
            inside = all(
                s.start < at + length and at < s.stop
                for s, at, length in zip(window, chunk.chunk_offset, data.chunks, strict=True)
            )
            stored.append(chunk.size if inside else 0)
        return data[window].mean()


async def test_the_central_frame_moves_little_more_than_its_chunks(engine, archive):
    before, stored = len(archive.requests()), []
    with h5py.File(EXAMPLES / "2d_data" / "BAM_2D.h5") as file:
        expected = central_frame(EXAMPLES / "2d_data" / "BAM_2D.h5", [])
        assert file["sasentry01/data/I"].shape == (1065, 1030)
    handle = await engine.open("sans-examples/2d_data/BAM_2D.h5")
    got = await asyncio.to_thread(central_frame, Opened(engine, handle, asyncio.get_running_loop()), stored)
    await engine.close(handle)
    moved = sum(one["bytes_sent"] for one in since(archive, before) if one["method"] == "GET")
    assert got == expected
    assert moved <= 1.5 * sum(stored) + 512 * 1024


async def test_r4_a_changed_file_is_never_mixed_with_its_old_version(engine, behind):
    (behind / "file").write_bytes(b"a" * 1_000_000)
    handle = await engine.open("results/file")
    assert await engine.read(handle, 0, 10) == b"a" * 10
    (behind / "new").write_bytes(b"b" * 1_000_000)
    (behind / "new").replace(behind / "file")
    with pytest.raises(VersionChanged):
        await engine.read(handle, 900_000, 900_010)
    assert await engine.read(handle, 0, 10) == b"a" * 10
    await engine.close(handle)
    assert await get(engine, "results/file") == b"b" * 1_000_000


async def test_r5_the_cache_outlives_a_restart_and_a_damaged_block_is_fetched_again(tmp_path, sans, archive):
    expected = (EXAMPLES / "2d_data" / "BAM_2D.h5").read_bytes()
    async with running_engine(tmp_path / "volume", [sans]) as engine:
        assert await get(engine, "sans-examples/2d_data/BAM_2D.h5") == expected
    before = len(archive.requests())
    async with running_engine(tmp_path / "volume", [sans]) as engine:
        assert await get(engine, "sans-examples/2d_data/BAM_2D.h5") == expected
    assert [one for one in since(archive, before) if one["method"] == "GET"] == []
    data = max((tmp_path / "volume" / "cache").rglob("*.data"), key=lambda one: one.stat().st_size)
    with data.open("r+b") as file:
        file.seek(beside(len(expected)) + 5_000_000)
        file.write(bytes([expected[5_000_000] ^ 1]))
    async with running_engine(tmp_path / "volume", [sans]) as engine:
        assert await get(engine, "sans-examples/2d_data/BAM_2D.h5") == expected
    gets = [one for one in since(archive, before) if one["method"] == "GET"]
    assert [one["range"] for one in gets] == ["bytes=4980736-5046271"]


async def test_r6_a_small_quota_is_kept_and_reads_stay_exact(tmp_path, sans):
    expected = (EXAMPLES / "2d_data" / "BAM_2D.h5").read_bytes()
    tuning = Tuning(quota_bytes=1024 * 1024, settle_seconds=0.05)
    async with running_engine(tmp_path / "volume", [sans], tuning=tuning) as engine:
        handle = await engine.open("sans-examples/2d_data/BAM_2D.h5")
        got = [await engine.read(handle, at, at + 131_072) for at in range(0, len(expected), 131_072)]
        assert b"".join(got) == expected
        assert engine.status()[0].cached_bytes <= 1024 * 1024
        await engine.close(handle)
    used = sum(one.stat().st_blocks * 512 for one in (tmp_path / "volume" / "cache").rglob("*.data"))
    assert used <= 1024 * 1024 + 64 * 1024


async def test_n1_what_changes_in_the_archive_shows_after_the_time_of_a_live_dataset(engine, behind):
    assert await engine.ls("results") == []
    (behind / "new").write_bytes(b"x")
    async with asyncio.timeout(20):
        while not await engine.ls("results"):
            await asyncio.sleep(0.1)


async def test_w1_w3_a_written_file_is_seen_here_at_once_and_whole_in_the_archive_after_a_flush(engine, behind):
    data = os.urandom(700_000)
    await engine.mkdir("results/run")
    await put(engine, "results/run/a.bin", data)
    assert [(one.name, one.size) for one in await engine.ls("results/run")] == [("a.bin", len(data))]
    assert await get(engine, "results/run/a.bin") == data
    assert await engine.flush(30) == []
    assert (behind / "run" / "a.bin").read_bytes() == data
    assert [one.name for one in (behind / "run").iterdir()] == ["a.bin"]
    assert await get(engine, "results/run/a.bin") == data
    assert engine.status()[1].state == "ok"


async def test_w7_appending_keeps_what_was_there(engine, behind):
    (behind / "log").write_bytes(b"first ")
    handle = await engine.open("results/log", write=True)
    await engine.write(handle, handle.size, b"second")
    assert await engine.read(handle, 0, 99) == b"first second"
    await engine.truncate(handle, 8)
    await engine.close(handle)
    assert await engine.flush(30) == []
    assert (behind / "log").read_bytes() == b"first se"


async def test_w5_what_somebody_else_wrote_meanwhile_is_never_overwritten(engine, behind):
    (behind / "file").write_bytes(b"base")
    handle = await engine.open("results/file", write=True)
    await engine.write(handle, 0, b"ours")
    (behind / "theirs").write_bytes(b"theirs!")
    (behind / "theirs").replace(behind / "file")
    await engine.close(handle)
    assert await engine.flush(30) == []
    assert (behind / "file").read_bytes() == b"theirs!"
    beside = [one for one in behind.iterdir() if one.name.startswith("file.conflict-ada-")]
    assert [one.read_bytes() for one in beside] == [b"ours"]
    problem = engine.status()[1].problem
    assert problem["code"] == "conflict"
    assert beside[0].name in problem["message"]


async def test_w5_a_file_made_by_somebody_else_under_our_new_name_stays(engine, behind):
    handle = await engine.open("results/file", write=True, create=True)
    await engine.write(handle, 0, b"ours")
    (behind / "file").write_bytes(b"theirs")
    await engine.close(handle)
    assert await engine.flush(30) == []
    assert (behind / "file").read_bytes() == b"theirs"
    assert sorted(one.name.partition(".conflict-ada-")[0] for one in behind.iterdir()) == ["file", "file"]


async def test_w6_saving_by_a_temporary_name_replaces_the_file_in_the_archive(engine, behind):
    (behind / "n.ipynb").write_bytes(b"old")
    await put(engine, "results/.~n.ipynb", b"new text")
    await engine.rename("results/.~n.ipynb", "results/n.ipynb")
    assert await get(engine, "results/n.ipynb") == b"new text"
    assert await engine.flush(30) == []
    assert {one.name: one.read_bytes() for one in behind.iterdir()} == {"n.ipynb": b"new text"}


async def test_w6_names_change_in_the_archive_and_unsent_files_follow_their_folder(engine, behind):
    await engine.mkdir("results/run")
    await put(engine, "results/run/sent", b"1")
    assert await engine.flush(30) == []
    handle = await engine.open("results/run/unsent", write=True, create=True)
    await engine.rename("results/run", "results/walk")
    await engine.write(handle, 0, b"22")
    await engine.close(handle)
    await engine.rename("results/walk/sent", "results/walk/moved")
    assert await engine.flush(30) == []
    assert {one.name: one.read_bytes() for one in (behind / "walk").iterdir()} == {"moved": b"1", "unsent": b"22"}
    with pytest.raises(NotEmpty):
        await engine.rmdir("results/walk")
    await engine.unlink("results/walk/moved")
    await engine.unlink("results/walk/unsent")
    await engine.rmdir("results/walk")
    assert list(behind.iterdir()) == []


async def test_a_file_removed_while_unsent_never_reaches_the_archive(engine, behind):
    await put(engine, "results/gone", b"x" * 1000)
    await engine.unlink("results/gone")
    assert await engine.flush(30) == []
    assert list(behind.iterdir()) == []
    with pytest.raises(FileNotThere):
        await engine.info("results/gone")


async def test_w8_a_read_only_dataset_takes_no_change(engine):
    for call in (
        engine.open("sans-examples/new", write=True, create=True),
        engine.open("sans-examples/README.txt", write=True),
        engine.mkdir("sans-examples/new"),
        engine.unlink("sans-examples/README.txt"),
        engine.rename("sans-examples/README.txt", "sans-examples/x"),
        engine.truncate("sans-examples/README.txt", 0),
        engine.rmdir("sans-examples/1d_data"),
    ):
        with pytest.raises(ReadOnly):
            await call


async def test_wrong_calls_get_the_error_a_file_system_expects(engine, behind):
    (behind / "folder").mkdir()
    (behind / "file").write_bytes(b"x")
    wrong = [
        (IsFolder, engine.open("results/folder")),
        (IsFolder, engine.unlink("results/folder")),
        (NotFolder, engine.ls("results/file")),
        (NotFolder, engine.rmdir("results/file")),
        (NotFolder, engine.open("results/file/below", write=True, create=True)),
        (FileNotThere, engine.open("results/absent")),
        (FileNotThere, engine.open("results/absent/file", write=True, create=True)),
        (FileNotThere, engine.info("nothing/here")),
        (Exists, engine.open("results/file", write=True, create=True, exclusive=True)),
        (Exists, engine.mkdir("results/folder")),
        (OtherDataset, engine.rename("results/file", "sans-examples/file")),
        (BadInput, engine.info("results/../x")),
        (BadInput, engine.open("results/.alc-upload-x", write=True, create=True)),
        (BadInput, engine.open("results/what?", write=True, create=True)),
    ]
    for kind, call in wrong:
        with pytest.raises(kind) as caught:
            await call
        assert caught.value.next_step


async def test_two_engines_on_one_volume_are_refused(engine, tmp_path, sans):
    with pytest.raises(Conflict, match=str(os.getpid())):
        async with running_engine(tmp_path / "volume", [sans]):
            pass


async def test_n3_r7_w11_while_the_archive_is_away(tmp_path, tmp_path_factory):
    service = ArchiveService(tmp_path_factory.mktemp("away"))
    service.start()
    (service.results("ada") / "seen").write_bytes(b"seen before")
    tuning = Tuning(settle_seconds=0.05, deadline_seconds=5)
    try:
        async with running_engine(tmp_path / "volume", [service.dataset("ada")], tuning=tuning) as engine:
            assert await get(engine, "results/seen") == b"seen before"
            assert [one.name for one in await engine.ls("results")] == ["seen"]
            await asyncio.to_thread(service.stop)
            await asyncio.sleep(1.1)  # the time of a live dataset
            assert [one.name for one in await engine.ls("results")] == ["seen"]
            assert await get(engine, "results/seen") == b"seen before"
            await put(engine, "results/new", b"written while away")
            assert await get(engine, "results/new") == b"written while away"
            with pytest.raises(ArchiveUnreachable):
                await engine.mkdir("results/folder")
            assert [one.path for one in await engine.flush(0.5)] == ["results/new"]
            async with asyncio.timeout(20):
                while str(engine.unsent()[0].state) != "waiting":  # it is tried again now and then
                    await asyncio.sleep(0.01)
            assert engine.status()[0].state == "unreachable"
            await asyncio.to_thread(service.start)
            assert await engine.flush(30) == []
            assert (service.results("ada") / "new").read_bytes() == b"written while away"
            assert engine.status()[0].state == "ok"
    finally:
        service.stop()


async def test_n3_a_name_that_cannot_be_asked_for_is_never_called_absent(tmp_path, tmp_path_factory):
    service = ArchiveService(tmp_path_factory.mktemp("never"))
    service.start()
    service.stop()
    async with running_engine(tmp_path / "volume", [service.dataset("ada")]) as engine:
        for call in (engine.info("results/x"), engine.ls("results"), engine.open("results/x", write=True, create=True)):
            with pytest.raises(ArchiveUnreachable) as caught:
                await call
            assert not isinstance(caught.value, FileNotFoundError)
