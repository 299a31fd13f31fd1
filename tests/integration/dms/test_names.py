"""Names through the daemon and its mount, by the rules N10 and on of docs/semantics/dms.md."""

import asyncio
import base64
import hashlib
import os
import subprocess
import tempfile
import time
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from jupyter_alc.core.dataset import Access, MountedDataset
from jupyter_alc.core.errors import VersionChanged
from jupyter_alc.dms.adapters.http import HttpAdapter
from jupyter_alc.dms.filesystem import DmsFileSystem
from jupyter_alc.testing.data_service import DataService
from jupyter_alc.testing.engines import running_engine
from own_server import OwnServer
from stalls import Stalls

pytestmark = pytest.mark.integration


@pytest.fixture
def place():
    folder = Path(tempfile.mkdtemp(prefix="alc-t-"))
    for name in ("raw", "live"):
        (folder / name).mkdir()
    yield folder
    subprocess.run(["umount", "-l", str(folder / "data")], check=False, capture_output=True)
    subprocess.run(["rm", "-rf", str(folder)], check=True)


@pytest.fixture
def service(place):
    datasets = [
        MountedDataset("raw", "Raw", "local", str(place / "raw"), Access.READ, published=True),
        MountedDataset("live", "Live", "local", str(place / "live"), Access.WRITE),
    ]
    running = DataService(place / "dms", datasets)
    running.place.mkdir()
    try:
        running.start()
        yield running
    finally:
        running.stop()


def test_n10_a_browser_takes_a_large_folder_by_parts_and_in_order(service, place):
    for number in range(25):
        (place / "raw" / f"f{number:02}").touch()
    told, after = [], ""
    while after is not None:
        part = service.ask(lambda client, after=after: client.part("raw", after, 10))
        assert len(part["entries"]) <= 10
        assert not part["coming"]
        told += [one["name"] for one in part["entries"]]
        after = part["next"]
    assert told == [f"f{number:02}" for number in range(25)]
    assert [one["name"] for one in service.ask(lambda client: client.ls("raw"))] == told


def test_n10_a_folder_too_large_for_one_answer_is_streamed(service, place):
    for number in range(12_000):
        (place / "raw" / f"f{number:05}").touch()
    assert len(service.ask(lambda client: client.ls("raw"))) == 12_000


def test_n15_a_refresh_shows_what_is_new_though_the_dataset_is_published(service, place):
    assert service.ask(lambda client: client.ls("raw")) == []
    (place / "raw" / "new").touch()
    assert service.ask(lambda client: client.ls("raw")) == []
    service.ask(lambda client: client.refresh("raw"))
    assert [one["name"] for one in service.ask(lambda client: client.ls("raw"))] == ["new"]
    (place / "raw" / "newer").touch()
    files = DmsFileSystem(socket=str(service.socket))
    assert files.ls("dms://raw", detail=False) == ["raw/new"]
    assert files.ls("dms://raw", detail=False, refresh=True) == ["raw/new", "raw/newer"]


async def test_n14_a_new_run_is_told_within_10_seconds_without_anybody_asking(tmp_path):
    for name in ("live", "published"):
        (tmp_path / name).mkdir()
    datasets = [
        MountedDataset(name, name, "local", str(tmp_path / name), Access.READ, published=name == "published")
        for name in ("live", "published")
    ]
    async with running_engine(tmp_path / "volume", datasets) as engine:
        told = []
        engine.on_change(lambda what, path: told.append((what, path)))
        assert await engine.ls("live") == []
        assert await engine.ls("published") == []
        for name in ("live", "published"):
            (tmp_path / name / "run-1").touch()
        with Stalls() as stalls:
            begun = stalls.mark()
            while ("stale", "live/run-1") not in told:
                assert stalls.since(begun) < 10
                await asyncio.sleep(0.05)
            assert ("stale", "published/run-1") not in told
            (tmp_path / "live" / "run-1").unlink()
            told.clear()
            begun = stalls.mark()
            while ("stale", "live/run-1") not in told:
                assert stalls.since(begun) < 12
                await asyncio.sleep(0.05)


async def test_n17_a_checksum_is_what_the_archive_tells_of_this_very_version():
    asked = []

    async def file(request):
        asked.append(request.method)
        digest = "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:"
        return web.Response(body=b"", headers={"ETag": '"1"', "Repr-Digest": digest})

    application = web.Application()
    application.router.add_get("/file", file)
    async with TestServer(application) as server:
        adapter = HttpAdapter(str(server.make_url("/")), {})
        try:
            assert await adapter.checksum("file", '"1"') == f"sha256:{hashlib.sha256().hexdigest()}"
            assert asked == ["HEAD"]
            with pytest.raises(VersionChanged):
                await adapter.checksum("file", '"2"')
        finally:
            await adapter.close()


@pytest.fixture
def mounted(place, service):
    service.stop()
    service.mount = place / "data"
    assert service.start()["mounted"]
    return service.mount


@pytest.mark.root
@pytest.mark.fuse
@pytest.mark.parametrize("how", ["-f", "-F"])
def test_n16_tail_follows_a_file_that_grows_in_the_archive(mounted, service, place, how):
    log = place / "live" / "log"
    log.write_text("".join(f"line {number}\n" for number in range(20_000)))
    time.sleep(0.2)
    tail = subprocess.Popen(
        ["tail", how, "-n", "1", "-s", "0.2", mounted / "live" / "log"], stdout=subprocess.PIPE, text=True
    )
    try:
        assert tail.stdout.readline() == "line 19999\n"
        with Stalls(service.process.pid, tail.pid) as stalls:
            for number in range(3):
                time.sleep(0.5)
                with log.open("a") as file:
                    file.write(f"new {number}\n")
                begun = stalls.mark()
                assert tail.stdout.readline() == f"new {number}\n"
                assert stalls.since(begun) < 10
                assert (mounted / "live" / "log").stat().st_size == log.stat().st_size
                list((mounted / "live").iterdir())
    finally:
        tail.kill()
        tail.wait()
        tail.stdout.close()


@pytest.mark.root
@pytest.mark.fuse
def test_n16_a_file_that_was_written_anew_and_longer_is_not_followed(mounted, place):
    archived = place / "live" / "file"
    archived.write_bytes(b"a" * 200_000)
    time.sleep(0.2)
    with (mounted / "live" / "file").open("rb", buffering=0) as held:
        assert held.read(100) == b"a" * 100
        archived.write_bytes(b"b" * 400_000)
        time.sleep(1.2)
        assert (mounted / "live" / "file").read_bytes() == b"b" * 400_000
        assert os.fstat(held.fileno()).st_size == 200_000
        got = []
        try:
            got.append(held.read(200_000))
        except OSError:
            got.append(b"")
        assert set(b"".join(got)) <= {ord("a")}


@pytest.mark.root
@pytest.mark.fuse
def test_n17_attributes_tell_where_a_file_is_and_how_much_of_it_is_here(mounted, place):
    archived = place / "raw" / "a file"
    archived.write_bytes(os.urandom(1_000_000))
    seen = mounted / "raw" / "a file"
    assert os.getxattr(seen, "user.dms.address").decode() == f"file://{place}/raw/a%20file"
    assert os.getxattr(seen, "user.dms.state") == b"archive"
    with seen.open("rb") as file:
        os.pread(file.fileno(), 10, 0)
    assert os.getxattr(seen, "user.dms.state") == b"partly"
    seen.read_bytes()
    assert os.getxattr(seen, "user.dms.state") == b"cached"
    assert os.getxattr(seen, "user.dms.path") == b"raw/a file"
    assert os.getxattr(seen, "user.dms.version")
    with pytest.raises(OSError, match="No data"):
        os.getxattr(seen, "user.dms.checksum")


class Digested(OwnServer):
    """One file, with the checksum that its archive keeps."""

    async def answer(self, request):
        if request.path != "/file":
            return web.Response(status=404)
        digest = base64.b64encode(hashlib.sha256(b"text").digest()).decode()
        return web.Response(body=b"text", headers={"ETag": '"1"', "Repr-Digest": f"sha-256=:{digest}:"})


@pytest.mark.root
@pytest.mark.fuse
def test_n17_the_archives_checksum_is_told_through_the_mount():
    with Digested() as archive, tempfile.TemporaryDirectory(prefix="alc-t-") as place:
        dataset = MountedDataset("odd", "Odd", "http", f"http://{archive.at}", Access.READ, published=True)
        service = DataService(Path(place), [dataset], mount=Path(place) / "data")
        try:
            assert service.start()["mounted"]
            seen = service.mount / "odd/file"
            assert os.getxattr(seen, "user.dms.checksum") == f"sha256:{hashlib.sha256(b'text').hexdigest()}".encode()
            assert b'"1"' in os.getxattr(seen, "user.dms.version")
        finally:
            service.stop()


@pytest.mark.root
@pytest.mark.fuse
def test_n13_a_number_outlives_the_daemons_memory_of_it(mounted, place):
    for number in range(200):
        (place / "raw" / f"d{number:03}").mkdir()
        (place / "raw" / f"d{number:03}" / "file").write_text(str(number))
    before = {path: path.stat().st_ino for path in sorted((mounted / "raw").rglob("*"))}
    Path("/proc/sys/vm/drop_caches").write_text("2")
    assert {path: path.stat().st_ino for path in sorted((mounted / "raw").rglob("*"))} == before
    for number in (0, 199):
        assert (mounted / "raw" / f"d{number:03}" / "file").read_text() == str(number)


@pytest.mark.root
@pytest.mark.fuse
def test_n8_odd_names_are_listed_and_read_through_the_mount_byte_for_byte(mounted, place):
    good = ["x" * 255, "\u00e4" * 127, "A", "a", "\u00e9", "e\u0301", "per%2Fcent", "line\nend", " ", "*?", "-rf"]
    for name in good:
        (place / "raw" / name).write_text(name)
    with open(os.fsencode(place / "raw") + b"/no-text-\xff", "w") as file:  # noqa: PTH123  (no Path prints it)
        file.write("odd")
    listed = os.listdir(mounted / "raw")  # noqa: PTH208  (bytes are what matters)
    assert sorted(listed) == sorted(good)
    for name in good:
        assert (mounted / "raw" / name).read_text() == name
    for absent in ("B", "\u00c9", "per/cent"):
        assert not (mounted / "raw" / absent).exists()
