"""Pushing ahead into the kernel's memory, through a real mount; R17 of docs/semantics/dms.md."""

import os
import shutil
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import pytest

from jupyter_alc.core.dataset import Access, MountedDataset
from jupyter_alc.testing.data_service import DataService
from stalls import Stalls

pytestmark = [pytest.mark.integration, pytest.mark.root, pytest.mark.fuse]
MIB = 1 << 20
SIZE = 48 * MIB + 12_345


@pytest.fixture
def served(monkeypatch):
    """A service that pushes ahead, with a published dataset that may be written, and the folder behind it."""
    place = Path(tempfile.mkdtemp(prefix="alc-t-"))
    place.chmod(0o711)
    (place / "behind").mkdir()
    (place / "behind").chmod(0o777)
    dataset = MountedDataset("ds", "Data", "local", str(place / "behind"), Access.WRITE, published=True)
    service = DataService(
        place / "dms",
        [dataset],
        mount=place / "data",
        run_as=52901,
        launcher=["env", "ALC_DMS_PUSH_AHEAD=on"],
    )
    service.place.mkdir(mode=0o711)
    old(place / "behind/file", os.urandom(SIZE))
    try:
        assert service.start()["mounted"]
        yield service, place / "data/ds", place / "behind"
    finally:
        service.stop()
        shutil.rmtree(place)


def old(path, content):
    """A file that was not changed just now, so that its version is settled."""
    path.write_bytes(content)
    path.chmod(0o666)
    os.utime(path, (1_700_000_000, 1_700_000_000))
    return content


def read(path, pause=0.0, step=MIB // 8):
    """Read a file in order, as one who also works."""
    got = []
    with path.open("rb", buffering=0) as file:
        while held := file.read(step):
            got.append(held)
            time.sleep(pause)
    return b"".join(got)


def forget(path):
    with path.open("rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def asked_by_kernel(service):
    """Bytes that readers needed, as the service counts."""
    return sum(one["needed_bytes"] for one in service.ask(lambda client: client.status())["datasets"])


def test_r17_a_reader_that_works_gets_every_byte_and_all_of_it_is_counted(served):
    service, top, behind = served
    content = (behind / "file").read_bytes()
    assert read(top / "file") == content
    forget(top / "file")
    before = asked_by_kernel(service)
    assert read(top / "file", pause=0.0005) == content
    counted = asked_by_kernel(service) - before
    assert abs(counted - SIZE) <= 8 * MIB + 4096


@pytest.mark.long
def test_r17_what_is_written_while_a_reader_is_pushed_for_is_what_everybody_reads_then(served):
    _, top, behind = served
    content = bytearray((behind / "file").read_bytes())
    read(top / "file")
    for turn in range(4):
        forget(top / "file")
        reader = threading.Thread(target=read, args=(top / "file", 0.001))
        reader.start()
        time.sleep(0.03 * (turn + 1))
        new = os.urandom(3 * MIB)
        at = (5 + turn) * MIB + 77
        with (top / "file").open("r+b") as file:
            file.seek(at)
            file.write(new)
        content[at : at + len(new)] = new
        reader.join(60)
        assert read(top / "file") == content


def test_r17_a_file_that_is_cut_while_it_is_pushed_stays_as_long_as_it_was_cut(served):
    _, top, behind = served
    content = (behind / "file").read_bytes()
    read(top / "file")
    forget(top / "file")
    reader = threading.Thread(target=read, args=(top / "file", 0.001))
    reader.start()
    time.sleep(0.05)
    os.truncate(top / "file", 6 * MIB)
    reader.join(60)
    assert (top / "file").stat().st_size == 6 * MIB
    assert read(top / "file") == content[: 6 * MIB]


def test_r17_another_version_in_the_archive_is_never_mixed_with_what_was_pushed(served):
    service, top, behind = served
    content = (behind / "file").read_bytes()
    read(top / "file")
    forget(top / "file")
    got = []
    reader = threading.Thread(target=lambda: got.append(read(top / "file", 0.001)))
    reader.start()
    time.sleep(0.05)
    newer = os.urandom(SIZE + 5 * MIB)
    (behind / "newer").write_bytes(newer)
    (behind / "newer").rename(behind / "file")
    service.ask(lambda client: client.refresh("ds/file"))
    reader.join(60)
    assert got == [content]
    assert read(top / "file") == newer


def test_r17_a_service_that_ends_while_it_pushes_ends_at_once(served):
    service, top, _ = served
    read(top / "file")
    forget(top / "file")
    ended = threading.Event()

    def reading():
        try:
            read(top / "file", 0.001)
        except OSError:
            pass
        finally:
            ended.set()

    with Stalls(service.process.pid) as stalls:
        threading.Thread(target=reading, daemon=True).start()
        time.sleep(0.08)
        begun = stalls.mark()
        service.stop()
        assert stalls.since(begun) < 10
    assert ended.wait(30)


def test_r17_a_mount_that_somebody_takes_away_while_it_is_pushed_to_serves_who_reads_and_ends_at_once(served):
    service, top, behind = served
    content = (behind / "file").read_bytes()
    read(top / "file")
    forget(top / "file")
    got, begun = [], threading.Event()

    def reading():
        with (top / "file").open("rb", buffering=0) as file:
            while held := file.read(MIB // 8):
                got.append(held)
                if len(got) == 16:
                    begun.set()
                time.sleep(0.001)

    reader = threading.Thread(target=reading)
    reader.start()
    assert begun.wait(30)
    subprocess.run(["umount", "-l", top.parent], check=True)
    reader.join(60)
    assert b"".join(got) == content
    before = time.monotonic()
    service.stop()
    assert time.monotonic() - before < 10


@pytest.mark.long
def test_r17_pages_that_the_kernel_gives_up_are_read_again(served):
    _, top, behind = served
    content = (behind / "file").read_bytes()
    read(top / "file")
    stop = threading.Event()

    def drop():
        while not stop.is_set():
            forget(top / "file")
            time.sleep(0.003)

    dropping = threading.Thread(target=drop)
    dropping.start()
    try:
        for _ in range(2):
            assert read(top / "file", 0.0005) == content
    finally:
        stop.set()
        dropping.join()
    assert subprocess.run(["cmp", top / "file", behind / "file"], check=False).returncode == 0
