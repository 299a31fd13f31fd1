"""A full disk under the data service: one clear word at every door, and nothing that was closed is lost."""

import asyncio
import contextlib
import errno
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from jupyter_alc.core.dataset import Access, MountedDataset
from jupyter_alc.core.errors import NoSpace
from jupyter_alc.dms.engine.engine import Tuning
from jupyter_alc.testing.archive_service import ArchiveService
from jupyter_alc.testing.data_service import DataService
from jupyter_alc.testing.engines import get, put, running_engine

pytestmark = [pytest.mark.integration, pytest.mark.root, pytest.mark.fuse]

DISK_BYTES = 8_000_000


@pytest.fixture
def place():
    folder = Path(tempfile.mkdtemp(prefix="alc-t-"))
    folder.chmod(0o711)
    for disk in (folder / "dms/volume", folder / "archive/files/results"):
        disk.mkdir(parents=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES},mode=700", "tmpfs", str(disk)], check=True)
    yield folder
    for line in reversed(Path("/proc/self/mountinfo").read_text().splitlines()):
        if line.split()[4].startswith(f"{folder}/"):
            subprocess.run(["umount", "-l", line.split()[4]], check=False)
    shutil.rmtree(folder)


@pytest.fixture
def service(place):
    archive = ArchiveService(place / "archive")
    archive.start()
    raw = place / "raw"
    raw.mkdir()
    (raw / "big.bin").write_bytes(os.urandom(9_000_000))
    published = MountedDataset("raw", "Raw", "local", str(raw), Access.READ, published=True)
    running = DataService(place / "dms", [published, archive.dataset()], mount=place / "data")
    try:
        assert running.start() == {"ready": True, "mounted": True, "problem": None}
        running.archive = archive
        yield running
    finally:
        running.stop()
        archive.stop()


def take_all(disk):
    with (disk / "others").open("wb", buffering=0) as file:
        while (seen := os.statvfs(disk)).f_bavail:
            with contextlib.suppress(OSError):  # somebody took some meanwhile
                file.write(bytes(seen.f_bavail * seen.f_frsize))


def fill(path):
    """Write until the disk is full; the answer is the error's number."""
    try:
        with path.open("wb", buffering=0) as file:
            for _ in range(20):
                file.write(os.urandom(1_000_000))
    except OSError as error:
        return error.errno
    return 0


def test_writing_says_no_space_and_what_was_closed_before_reaches_the_archive(service):
    (service.mount / "results/before.txt").write_bytes(b"closed with success")
    assert fill(service.mount / "results/large.bin") == errno.ENOSPC
    service.ask(lambda client: client.flush(60))
    assert (service.archive.results() / "before.txt").read_bytes() == b"closed with success"
    with contextlib.suppress(OSError):
        (service.mount / "results/large.bin").unlink()
    (service.mount / "results/after.txt").write_bytes(b"room again")
    assert not service.ask(lambda client: client.flush(60))["unsent"]
    assert (service.archive.results() / "after.txt").read_bytes() == b"room again"


def test_the_socket_says_it_in_a_sentence_with_the_next_step(service):
    async def pieces():
        for _ in range(20):
            yield bytes(1_000_000)

    with pytest.raises(NoSpace) as told:
        service.ask(lambda client: client.put("results/large.bin", pieces()))
    assert told.value.next_step
    assert "results/large.bin" not in str(service.ask(lambda client: client.ls("results")))


def test_reading_goes_on_uncached(service, place):
    told = subprocess.run(["cmp", service.mount / "raw/big.bin", place / "raw/big.bin"], check=False)
    assert told.returncode == 0
    assert all(one["state"] == "ok" for one in service.ask(lambda client: client.status())["datasets"])


def test_a_full_archive_keeps_the_file_here_says_so_and_takes_it_when_there_is_room(service):
    take_all(service.archive.results().parent)
    (service.mount / "results/kept.txt").write_bytes(b"k" * 3_000_000)
    told = service.wait_until(lambda told: told["unsent"] and told["unsent"][0]["problem"])
    words = {
        "code": "no_space",
        "message": "The archive is full.",
        "next_step": "Remove something there, or ask its owner for room; what is unsent is kept and sent then.",
    }
    assert told["unsent"][0]["problem"] == told["datasets"][1]["problem"] == words
    assert service.ask(lambda client: client.flush(1))["unsent"][0]["problem"] == words
    assert (service.mount / "results/kept.txt").read_bytes() == b"k" * 3_000_000
    (service.archive.results().parent / "others").unlink()
    assert not service.ask(lambda client: client.flush(60))["unsent"]
    assert [(one.name, one.stat().st_size) for one in service.archive.results().iterdir()] == [("kept.txt", 3_000_000)]


# -- the engine by itself, on a disk whose last byte is gone -----------------------------------------------------------


@pytest.fixture
def disk(place):
    return place / "dms" / "volume"


@pytest.fixture
def local(place):
    (place / "behind").mkdir()
    return MountedDataset("ds", "Data", "local", f"file://{place / 'behind'}", Access.WRITE)


async def test_a_volume_without_one_free_byte_still_starts_sends_and_makes_room(disk, local, place):
    async with running_engine(disk, [local], tuning=Tuning(settle_seconds=60)) as engine:
        await put(engine, "ds/large", b"x" * 3_000_000)
    take_all(disk)
    async with running_engine(disk, [local]) as engine:
        problem = engine.status()[0].problem
        assert problem["code"] == "no_space"
        assert str(disk) in problem["message"]
        assert problem["next_step"]
        assert await engine.flush(20) == []
        assert (place / "behind/large").stat().st_size == 3_000_000
        await put(engine, "ds/again", b"room again")
        assert engine.status()[0].problem is None
        assert await engine.flush(20) == []
    async with running_engine(disk, [local]) as engine:
        assert engine.unsent() == []


async def test_a_file_is_not_cut_where_its_new_bytes_would_find_no_room(disk, local, place):
    (place / "behind/kept").write_bytes(b"as it was")
    async with running_engine(disk, [local]) as engine:
        take_all(disk)
        for name in ("ds/kept", "ds/new"):
            with pytest.raises(NoSpace):
                await put(engine, name, b"y" * 100)
        assert engine.unsent() == []
        assert await get(engine, "ds/kept") == b"as it was"
        assert [one.name for one in await engine.ls("ds")] == ["kept"]
    assert not list(disk.glob("staging/file-*"))


async def test_unsent_files_can_be_removed_where_nothing_can_be_written(disk, local, place):
    async with running_engine(disk, [local], tuning=Tuning(settle_seconds=60)) as engine:
        await put(engine, "ds/large", b"x" * 3_000_000)
        take_all(disk)
        await engine.unlink("ds/large")
        while engine.status()[0].problem is not None:
            await asyncio.sleep(0.01)
        await put(engine, "ds/large", b"another")
        assert [(one.path, one.size_bytes) for one in engine.unsent()] == [("ds/large", 7)]
    async with running_engine(disk, [local]) as engine:
        assert await engine.flush(20) == []
    assert (place / "behind/large").read_bytes() == b"another"


def test_a_service_that_cannot_begin_there_names_the_disk(disk, local, place):
    take_all(disk)
    daemon = DataService(place / "dms", [local])
    told = daemon.start()
    assert not told["ready"]
    assert told["problem"]["code"] == "no_space"
    assert f"({disk}) is full" in told["problem"]["message"]
    assert told["problem"]["next_step"]
    (disk / "others").unlink()
    daemon.stop()
    assert daemon.start()["ready"]
    daemon.stop()
