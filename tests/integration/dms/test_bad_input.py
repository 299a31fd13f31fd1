"""What archives hold and say that few think of: rules B1 to B7, N7 and N8 of docs/semantics/dms.md."""

from __future__ import annotations

import asyncio
import errno
import os
import subprocess
import sys
import tempfile
import time
from datetime import timedelta
from email.utils import formatdate
from pathlib import Path

import pytest
from aiohttp import web

from jupyter_alc.core.clock import SystemClock
from jupyter_alc.core.dataset import Access, MountedDataset
from jupyter_alc.core.errors import ArchiveUnreachable, BadInput, FileNotThere, VersionChanged
from jupyter_alc.dms.filesystem import DmsFileSystem
from jupyter_alc.testing.adapters import ODD_NAMES
from jupyter_alc.testing.data_service import DataService
from jupyter_alc.testing.engines import get, running_engine
from labs.nginx import Nginx
from own_server import OwnServer

pytestmark = pytest.mark.integration

BLOCK, GIB, YEAR = 64 * 1024, 1 << 30, 365 * 86_400
NAMES = [name for group in ODD_NAMES for name in group]


def generated(start, stop):
    """The bytes of a file of any size: each eighth says where it is."""
    first, last = start // 8, -(-stop // 8)
    return b"".join(number.to_bytes(8, "big") for number in range(first, last))[start % 8 :][: stop - start]


class Liar(OwnServer):
    """One file `file` at the top, over HTTP, WebDAV and S3, of any size; it says what it is told to say."""

    def __init__(self, size, *, told=None, etag='"one"', clock=0.0, modified=None):
        self.size, self.told, self.etag, self.clock = size, size if told is None else told, etag, clock
        self.modified = time.time() + clock - 3600 if modified is None else modified
        self.moved = 0

    def dataset(self, adapter, **more):
        url = {"s3": f"s3://d?endpoint=http://{self.at}&region=us-east-1"}.get(adapter, f"http://{self.at}/d")
        keys = {"access_key": "a", "secret_key": "s"} if adapter == "s3" else {}
        return MountedDataset("odd", "Odd", adapter, url, Access.READ, credentials=keys, **more)

    async def answer(self, request):
        headers = {"Date": formatdate(time.time() + self.clock, usegmt=True)}
        if request.method == "PROPFIND":
            paths = (
                ["/d", "/d/file"][: 1 + int(request.headers["Depth"])]
                if request.path.strip("/") == "d"
                else ["/d/file"]
            )
            text = "".join(map(self.response, paths))
            text = f'<multistatus xmlns="DAV:">{text}</multistatus>'
            return web.Response(status=207, text=text, headers=headers)
        if "list-type" in request.query:
            return web.Response(text=self.keys(request.query.get("prefix", "")), content_type="application/xml")
        if not request.path.endswith("/file"):
            return web.Response(status=404)
        headers["Last-Modified"] = formatdate(self.modified, usegmt=True)
        if self.etag:
            headers["ETag"] = self.etag
        if request.method == "HEAD":
            return web.Response(headers={**headers, "Content-Length": str(self.told)})
        first, _, last = request.headers["Range"].removeprefix("bytes=").partition("-")
        start, stop = int(first), min(self.size, int(last) + 1 if last else self.size)
        if start >= self.size:
            return web.Response(status=416)
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{self.size}"
        self.moved += stop - start
        return web.Response(status=206, body=generated(start, stop), headers=headers)

    def response(self, path):
        kind = "" if path.endswith("file") else "<collection/>"
        etag = f"<getetag>{self.etag}</getetag>" if self.etag else ""
        return (
            f"<response><href>{path}</href><propstat><status>HTTP/1.1 200 OK</status><prop>"
            f"<resourcetype>{kind}</resourcetype><getcontentlength>{self.told}</getcontentlength>{etag}"
            f"<getlastmodified>{formatdate(self.modified, usegmt=True)}</getlastmodified></prop></propstat></response>"
        )

    def keys(self, prefix):
        row = "" if not "file".startswith(prefix) else (
            f"<Contents><Key>file</Key><Size>{self.told}</Size><ETag>{self.etag}</ETag>"
            "<LastModified>2026-01-01T00:00:00.000Z</LastModified></Contents>"
        )  # fmt: skip
        return (
            '<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
            f"<IsTruncated>false</IsTruncated><EncodingType>url</EncodingType>{row}</ListBucketResult>"
        )


async def read(engine, start, stop):
    handle = await engine.open("odd/file")
    try:
        return await engine.read(handle, start, stop)
    finally:
        await engine.close(handle)


@pytest.mark.parametrize("adapter", ["http", "webdav", "s3"])
async def test_b4_five_gib_are_read_where_they_are_asked_for(adapter, tmp_path):
    size = 5 * GIB + 3
    with Liar(size) as archive:
        async with running_engine(tmp_path / "v", [archive.dataset(adapter)]) as engine:
            assert (await engine.info("odd/file")).size == size
            for start in (0, 2 * GIB - 5, 4 * GIB - 5, 4 * GIB + 1, size - 10):
                assert await read(engine, start, start + 100_000) == generated(start, min(size, start + 100_000))
            assert await read(engine, size, size + 10) == b""
            assert archive.moved < 3_000_000


async def test_b4_a_sparse_file_of_five_gib_in_a_folder(tmp_path):
    (tmp_path / "archive").mkdir()
    with (tmp_path / "archive/file").open("wb") as file:
        file.seek(4 * GIB + 17)
        file.write(b"here")
        file.truncate(5 * GIB)
    dataset = MountedDataset("odd", "Odd", "local", str(tmp_path / "archive"), Access.READ)
    async with running_engine(tmp_path / "v", [dataset]) as engine:
        assert await read(engine, 4 * GIB + 16, 4 * GIB + 22) == b"\0here\0"
        assert len(await read(engine, 5 * GIB - 5, 5 * GIB + 5)) == 5


@pytest.mark.parametrize("adapter", ["http", "webdav", "s3"])
async def test_b4_an_empty_file_is_empty_and_asks_nobody_for_bytes(adapter, tmp_path):
    with Liar(0) as archive:
        async with running_engine(tmp_path / "v", [archive.dataset(adapter)]) as engine:
            assert await get(engine, "odd/file") == b""
            assert (await engine.info("odd/file")).size == 0
            assert archive.moved == 0


@pytest.mark.parametrize("adapter", ["http", "webdav", "s3"])
async def test_b4_an_archive_that_has_fewer_bytes_than_it_told_gives_none_that_is_wrong(adapter, tmp_path):
    with Liar(300_000, told=400_000) as archive:
        async with running_engine(tmp_path / "v", [archive.dataset(adapter)]) as engine:
            handle = await engine.open("odd/file")
            for start in (350_000, 290_000):
                with pytest.raises((VersionChanged, ArchiveUnreachable)):
                    await engine.read(handle, start, start + 20_000)
            await engine.close(handle)


@pytest.mark.parametrize("adapter", ["http", "webdav", "s3"])
async def test_b4_of_a_file_that_is_longer_than_told_the_told_bytes_are_read(adapter, tmp_path):
    with Liar(400_000, told=300_000) as archive:
        async with running_engine(tmp_path / "v", [archive.dataset(adapter)]) as engine:
            assert await get(engine, "odd/file") == generated(0, 300_000)


@pytest.mark.parametrize("adapter", ["http", "webdav", "s3"])
@pytest.mark.parametrize("clock", [-YEAR, YEAR])
async def test_b5_an_archives_clock_that_is_wrong_by_a_year_changes_nothing(adapter, clock, tmp_path):
    etag = '"one"' if adapter == "s3" else ""
    with Liar(300_000, etag=etag, clock=clock) as archive:
        async with running_engine(tmp_path / "v", [archive.dataset(adapter)]) as engine:
            assert await get(engine, "odd/file") == generated(0, 300_000)
            moved = archive.moved
            assert await get(engine, "odd/file") == generated(0, 300_000)
            assert archive.moved == moved  # it is old enough by the archive's own clock
            archive.modified += 60
            archive.etag = etag and '"two"'
            archive.size = archive.told = 299_999
            await asyncio.sleep(1.1)
            assert await get(engine, "odd/file") == generated(0, 299_999)


class WrongClock(SystemClock):
    """A wall clock that is wrong by so many seconds."""

    def __init__(self, wrong):
        self.wrong = timedelta(seconds=wrong)

    def now(self):
        return super().now() + self.wrong


@pytest.mark.parametrize("adapter", ["http", "webdav"])
@pytest.mark.parametrize("wrong", [-YEAR, YEAR])
async def test_b5_our_own_clock_that_is_wrong_by_a_year_changes_nothing(adapter, wrong, tmp_path):
    with Liar(300_000, etag="") as archive:
        async with running_engine(tmp_path / "v", [archive.dataset(adapter)], clock=WrongClock(wrong)) as engine:
            for _ in range(2):
                assert await get(engine, "odd/file") == generated(0, 300_000)
            assert archive.moved == 300_000
            archive.modified += 60
            archive.size = archive.told = 299_999
            await asyncio.sleep(1.1)
            assert await get(engine, "odd/file") == generated(0, 299_999)


@pytest.mark.parametrize("adapter", ["http", "webdav"])
async def test_b5_a_file_dated_in_the_archives_future_is_fetched_anew_at_each_open(adapter, tmp_path):
    with Liar(300_000, etag="", modified=time.time() + YEAR) as archive:
        async with running_engine(tmp_path / "v", [archive.dataset(adapter)]) as engine:
            for times in (1, 2):
                assert await get(engine, "odd/file") == generated(0, 300_000)
                assert archive.moved >= times * 300_000
                await asyncio.sleep(1.1)


async def test_b3_paths_that_lead_out_are_refused_at_every_door(tmp_path):
    (tmp_path / "archive").mkdir()
    (tmp_path / "secret").write_text("x")
    dataset = MountedDataset("odd", "Odd", "local", str(tmp_path / "archive"), Access.READ)
    async with running_engine(tmp_path / "v", [dataset]) as engine:
        for path in ("odd/../secret", "odd/..", "odd//secret", "odd/./x", f"odd/{tmp_path}/secret"):
            for ask in (engine.info, engine.ls, engine.open):
                with pytest.raises((BadInput, FileNotThere)):
                    await ask(path)
        with pytest.raises(FileNotThere):
            await engine.info("odd/%2e%2e/secret")


@pytest.mark.nginx
@pytest.mark.parametrize("adapter", ["http", "webdav"])
async def test_b2_a_name_that_the_listing_leaves_out_is_opened_all_the_same(adapter, tmp_path):
    with Nginx(tmp_path / "lab") as lab:
        lab.put("array.zarr/.zarray", b"{}")
        lab.put("array.zarr/0.0", b"chunk")
        dataset = MountedDataset("odd", "Odd", adapter, lab.state[adapter], Access.READ, published=True)
        async with running_engine(tmp_path / "v", [dataset]) as engine:
            assert [one.name for one in await engine.ls("odd/array.zarr")] == ["0.0"]
            assert await get(engine, "odd/array.zarr/.zarray") == b"{}"
            assert [one.name for one in await engine.ls("odd/array.zarr")] == ["0.0"]
            assert (await engine.info("odd/array.zarr/.zarray")).size == 2
            with pytest.raises(FileNotThere):
                await engine.info("odd/array.zarr/.zattrs")


@pytest.mark.root
@pytest.mark.fuse
def test_b1_n8_every_name_that_a_folder_can_hold_is_read_through_the_mount(tmp_path):
    raw = tmp_path / "raw"
    raw.mkdir()
    names = [os.fsencode(name) for name in NAMES] + [b"\xff\xfe", b"caf\xe9"]
    for name in names:
        (raw / os.fsdecode(name)).write_bytes(name)
    with tempfile.TemporaryDirectory(prefix="alc-t-") as place:
        dataset = MountedDataset("odd", "Odd", "local", str(raw), Access.READ, published=True)
        service = DataService(Path(place), [dataset], mount=Path(place) / "data")
        try:
            assert service.start()["mounted"]
            folder = os.fsencode(f"{place}/data/odd")
            listed = os.listdir(folder)  # noqa: PTH208  (bytes)
            assert sorted(listed) == sorted(os.fsencode(name) for name in NAMES)
            for name in names:  # those that are no text are not listed, and read where somebody names them
                with open(folder + b"/" + name, "rb") as file:  # noqa: PTH123
                    assert file.read() == name
            code = "import os,sys; sys.stdout.buffer.write(b'\\0'.join(sorted(os.listdir(os.fsencode(sys.argv[1])))))"
            told = subprocess.run(
                [sys.executable, "-I", "-c", code, os.fsdecode(folder)], stdout=subprocess.PIPE, check=True
            )
            assert told.stdout.split(b"\0") == sorted(listed)
        finally:
            service.stop()


@pytest.fixture
def served():
    """Serve a dataset `odd` through a mount."""
    with tempfile.TemporaryDirectory(prefix="alc-t-") as place:
        begun = []

        def start(dataset):
            begun.append(DataService(Path(place), [dataset], mount=Path(place) / "data"))
            assert begun[0].start()["mounted"]
            return begun[0]

        yield start
        for one in begun:
            one.stop()


@pytest.mark.root
@pytest.mark.fuse
def test_n8_a_name_may_hold_every_byte_below_128_but_a_slash_through_the_mount(tmp_path, served):
    names = sorted(f"a{chr(number)}b" for number in range(1, 128) if chr(number) != "/")
    for name in names:
        (tmp_path / name).write_text(name)
    service = served(MountedDataset("odd", "Odd", "local", str(tmp_path), Access.READ, published=True))
    folder = service.mount / "odd"
    assert sorted(one.name for one in folder.iterdir()) == names
    for name in names:
        assert (folder / name).read_bytes() == name.encode()


@pytest.mark.root
@pytest.mark.fuse
def test_b4_bytes_beyond_four_gib_are_read_through_the_mount_and_by_dms(tmp_path, served):
    with (tmp_path / "file").open("wb") as file:
        file.seek(4 * GIB + 1)
        file.write(b"here")
        file.truncate(5 * GIB)
    service = served(MountedDataset("odd", "Odd", "local", str(tmp_path), Access.READ, published=True))
    with (service.mount / "odd/file").open("rb", buffering=0) as file:
        assert os.pread(file.fileno(), 6, 4 * GIB) == b"\0here\0"
        assert os.fstat(file.fileno()).st_size == 5 * GIB
    fs = DmsFileSystem(socket=str(service.socket), skip_instance_cache=True)
    assert fs.cat_file("odd/file", 4 * GIB + 1, 4 * GIB + 6) == b"here\0"


class Cut(Liar):
    """Breaks off each answer where the file was cut, and has a size that says nothing of it."""

    async def answer(self, request):
        if request.method != "GET" or "Range" not in request.headers:
            return await super().answer(request)
        first, _, last = request.headers["Range"].removeprefix("bytes=").partition("-")
        start, stop = int(first), min(self.told, int(last) + 1 if last else self.told)
        headers = {"ETag": self.etag, "Last-Modified": formatdate(self.modified, usegmt=True)}
        headers |= {"Content-Range": f"bytes {start}-{stop - 1}/{self.told}", "Content-Length": str(stop - start)}
        answer = web.StreamResponse(status=206, headers=headers)
        await answer.prepare(request)
        await answer.write(generated(start, max(start, min(stop, self.size))))
        if stop > self.size and request.transport is not None:
            await asyncio.sleep(0.05)
            request.transport.close()
        return answer


@pytest.mark.root
@pytest.mark.fuse
def test_b7_a_read_through_the_mount_that_meets_an_error_gives_what_came_before_then_the_error(served):
    cut = 300_000
    with Cut(cut, told=1 << 20) as archive:
        service = served(archive.dataset("http", published=True))
        file = os.open(service.mount / "odd/file", os.O_RDONLY)
        try:
            got = os.pread(file, 1 << 20, 0)
            assert 0 < len(got) <= cut
            assert got == generated(0, len(got))
            with pytest.raises(OSError, match=os.strerror(errno.EIO)):
                os.pread(file, 1 << 20, cut)
            with pytest.raises(OSError, match=os.strerror(errno.EIO)):
                os.pread(file, 1 << 20, len(got) + BLOCK)
        finally:
            os.close(file)
