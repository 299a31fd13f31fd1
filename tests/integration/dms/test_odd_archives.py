"""Archives that are not like ours: without ETags, without ranges, slow, cut off; over real sockets and a real mount."""

import asyncio
import os
import shutil
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from email.utils import formatdate
from pathlib import Path

import pytest
from aiohttp import web

from jupyter_alc.core.dataset import Access, MountedDataset
from jupyter_alc.core.errors import ArchiveUnreachable, Denied, FileNotThere, VersionChanged
from jupyter_alc.dms.access import EngineAccess
from jupyter_alc.dms.adapters.webdav import WebdavAdapter
from jupyter_alc.dms.daemon.routes import application
from jupyter_alc.dms.transfers.access import EngineTransfers
from jupyter_alc.testing.data_service import DataService
from jupyter_alc.testing.engines import running_engine
from own_server import OwnServer

pytestmark = pytest.mark.integration
BLOCK = 64 * 1024


class OddArchive(OwnServer):
    """A read-only WebDAV folder with one file of `size` bytes, on a thread of its own, odd in the ways that are set."""

    def __init__(self, size, *, etag=True, ranges=True, seconds=0.0, cut_after=None):
        self.content, self.time = os.urandom(size), 1_700_000_000
        self.etag, self.ranges, self.seconds, self.cut_after = etag, ranges, seconds, cut_after
        self.others = {}  # what else is there: a path, and what the server says of it

    @property
    def url(self):
        return f"http://{self.at}/d"

    async def answer(self, request):
        path = request.path.rstrip("/")
        if request.method == "PROPFIND":
            names = {"/d": ["/d", "/d/file", *self.others], "/d/file": ["/d/file"]}.get(path)
            names = [path] if path in self.others else names
            if names is None:
                return web.Response(status=404)
            text = "".join(self.response(one) for one in (names if request.headers["Depth"] == "1" else names[:1]))
            return web.Response(status=207, text=f'<multistatus xmlns="DAV:">{text}</multistatus>')
        await asyncio.sleep(self.seconds)
        headers = {"Last-Modified": formatdate(self.time, usegmt=True)}
        if self.etag:
            headers["ETag"] = '"one"'
        if request.headers.get("If-Match", headers.get("ETag")) != headers.get("ETag"):
            return web.Response(status=412)  # as RFC 9110 has it where there is no ETag at all
        first, last = (int(one) for one in request.headers["Range"].removeprefix("bytes=").split("-"))
        body, status = self.content, 200
        if self.ranges:
            body, status = self.content[first : last + 1], 206
            headers["Content-Range"] = f"bytes {first}-{last}/{len(self.content)}"
        answer = web.StreamResponse(status=status, headers=headers)
        answer.content_length = len(body)
        await answer.prepare(request)
        if self.cut_after is not None and last >= self.cut_after:
            await answer.write(body[: len(body) // 2])
            request.transport.abort()
            return answer
        for start in range(0, len(body), BLOCK):
            await answer.write(body[start : start + BLOCK])
        return answer

    def response(self, path):
        if path in self.others:
            return f"<response><href>{path}</href>{self.others[path]}</response>"
        kind = "" if path.endswith("file") else "<collection/>"
        etag = '<getetag>"one"</getetag>' if self.etag else ""
        return (
            f"<response><href>{path}</href><propstat><status>HTTP/1.1 200 OK</status><prop>"
            f"<resourcetype>{kind}</resourcetype><getcontentlength>{len(self.content)}</getcontentlength>{etag}"
            f"<getlastmodified>{formatdate(self.time, usegmt=True)}</getlastmodified></prop></propstat></response>"
        )

    def dataset(self):
        return MountedDataset("odd", "Odd", "webdav", self.url, Access.READ)


async def read_all(engine):
    handle = await engine.open("odd/file")
    try:
        return await engine.read(handle, 0, handle.size)
    finally:
        await engine.close(handle)


FORBIDDEN, BROKEN = (f"<status>HTTP/1.1 {one}</status>" for one in ("403 Forbidden", "507 Insufficient Storage"))
NO_SIZE = "<propstat><status>HTTP/1.1 200 OK</status><prop><resourcetype/><getetag>'x'</getetag></prop></propstat>"


async def test_n8_a_name_that_we_may_not_see_is_not_shown_and_who_names_it_hears_why(tmp_path):
    with OddArchive(10) as archive:
        archive.others = {"/d/theirs": FORBIDDEN}
        async with running_engine(tmp_path, [archive.dataset()]) as engine:
            with pytest.raises(Denied, match="theirs"):
                await engine.info("odd/theirs")
            assert [one.name for one in await engine.ls("odd")] == ["file"]


@pytest.mark.parametrize("said", [BROKEN, NO_SIZE])
async def test_n3_b4_what_the_server_cannot_tell_of_is_neither_absent_nor_empty(said, tmp_path):
    with OddArchive(10) as archive:
        archive.others = {"/d/odd": said}
        async with running_engine(tmp_path, [archive.dataset()]) as engine:
            for asked in (engine.info("odd/odd"), engine.ls("odd")):
                with pytest.raises(ArchiveUnreachable):
                    await asked


@pytest.mark.parametrize("ranges", [True, False])
@pytest.mark.parametrize("etag", [True, False])
async def test_bytes_are_right_without_etags_and_without_ranges(tmp_path, etag, ranges):
    with OddArchive(700_001, etag=etag, ranges=ranges) as archive:
        async with running_engine(tmp_path / "v", [archive.dataset()]) as engine:
            assert await read_all(engine) == archive.content


async def test_r4_a_changed_time_is_another_version_where_there_is_no_etag(tmp_path):
    with OddArchive(700_001, etag=False) as archive:
        async with running_engine(tmp_path / "v", [archive.dataset()]) as engine:
            handle = await engine.open("odd/file")
            assert await engine.read(handle, 0, 10) == archive.content[:10]
            archive.time += 10
            with pytest.raises(VersionChanged):
                await engine.read(handle, 600_000, 600_010)
            await engine.close(handle)


async def test_a_body_that_breaks_off_is_an_error_and_never_short(tmp_path):
    with OddArchive(700_001, cut_after=0) as archive:
        async with running_engine(tmp_path / "v", [archive.dataset()]) as engine:
            with pytest.raises(ArchiveUnreachable):
                await read_all(engine)


async def test_a_name_that_is_no_text_is_answered_without_a_foreign_error():
    with OddArchive(1) as archive:
        adapter = WebdavAdapter(archive.url, {})
        with pytest.raises(FileNotThere):
            await adapter.info(os.fsdecode(b"odd-\xff"))
        await adapter.close()


async def test_an_answer_that_cannot_be_finished_is_broken_off_and_nothing_foreign_is_in_it(tmp_path):
    """A reader of 20 MB over the socket must not wait, and must not find our error among its bytes."""
    with OddArchive(20_000_000, cut_after=12_000_000) as archive:
        async with running_engine(tmp_path / "v", [archive.dataset()]) as engine:
            app = application(
                EngineAccess(engine, dict), EngineTransfers(engine, tmp_path / "v"), frozenset({os.geteuid()})
            )
            runner = web.AppRunner(app, access_log=None)
            await runner.setup()
            await web.UnixSite(runner, str(tmp_path / "s")).start()
            reader, writer = await asyncio.open_unix_connection(str(tmp_path / "s"))
            writer.write(b"GET /v1/read?path=odd/file HTTP/1.1\r\nHost: dms\r\n\r\n")
            async with asyncio.timeout(20):
                got = await reader.read()
            writer.close()
            await runner.cleanup()
    body = got.partition(b"\r\n\r\n")[2]
    assert len(body) > 8_000_000
    assert archive.content.startswith(body)


@pytest.mark.root
@pytest.mark.fuse
def test_a_hundred_readers_at_once_wait_for_their_turn():
    """A busy archive is no broken one: each of them gets its bytes through the mount."""
    place = Path(tempfile.mkdtemp(prefix="alc-t-"))
    place.chmod(0o711)
    with OddArchive(100 * 4 * BLOCK, seconds=0.3) as archive:
        service = DataService(place / "dms", [archive.dataset()], mount=place / "data")
        service.place.mkdir(mode=0o711)
        try:
            assert service.start()["mounted"]

            def read(number):
                with open(place / "data/odd/file", "rb", buffering=0) as opened:  # noqa: PTH123
                    return os.pread(opened.fileno(), 100, number * 4 * BLOCK)

            with ThreadPoolExecutor(100) as pool:
                got = list(pool.map(read, range(100)))
            assert got == [archive.content[at : at + 100] for at in range(0, 100 * 4 * BLOCK, 4 * BLOCK)]
        finally:
            service.stop()
            subprocess.run(["umount", "-l", str(place / "data")], check=False, capture_output=True)
            shutil.rmtree(place)
