"""A full disk under the data service: one clear word at every door, and nothing that was closed is lost."""

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
from jupyter_alc.testing.archive_service import ArchiveService
from jupyter_alc.testing.data_service import DataService

pytestmark = [pytest.mark.integration, pytest.mark.root, pytest.mark.fuse]

DISK_BYTES = 8_000_000


@pytest.fixture
def place():
    folder = Path(tempfile.mkdtemp(prefix="alc-t-"))
    folder.chmod(0o711)
    disk = folder / "dms" / "volume"
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
    archive.place.mkdir(mode=0o700)
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
