"""R12: archives that take no ranges, or only `bytes=N-`, over a real HTTP server."""

import asyncio
import os
import re
from email.utils import formatdate

import pytest
from aiohttp import web

from jupyter_alc.core.dataset import Access, MountedDataset
from jupyter_alc.core.errors import ArchiveUnreachable, VersionChanged
from jupyter_alc.dms.adapters.http import HttpAdapter
from jupyter_alc.dms.adapters.interface import Capabilities
from jupyter_alc.dms.engine.engine import Tuning
from jupyter_alc.testing.engines import running_engine

pytestmark = pytest.mark.integration
MIB = 1024 * 1024
PIECE = 256 * 1024


class Server:
    """One file at /file, sent in pieces, from `waits_at` when `on` is set; `gets` are the first bytes asked for, `sent`
    what left."""

    def __init__(self, size, *, tail):
        self.content, self.tail, self.etag = os.urandom(size), tail, '"one"'
        self.gets, self.sent, self.cut_after, self.running = [], 0, None, 0
        self.waits_at, self.on = size, asyncio.Event()

    async def answer(self, request):
        headers = {"ETag": self.etag, "Last-Modified": formatdate(1_700_000_000, usegmt=True)}
        if request.headers.get("If-Match", self.etag) != self.etag:
            return web.Response(status=412)
        asked = re.fullmatch(r"bytes=(\d+)-", request.headers.get("Range", "")) if self.tail else None
        start = int(asked[1]) if asked else 0
        if asked:
            headers["Content-Range"] = f"bytes {start}-{len(self.content) - 1}/{len(self.content)}"
        elif not self.tail:
            headers["Accept-Ranges"] = "none"
        answer = web.StreamResponse(status=206 if asked else 200, headers=headers)
        answer.content_length = len(self.content) - start
        await answer.prepare(request)
        if request.method == "GET":
            self.gets.append(start)
            self.running += 1
            try:
                await self.send(request, answer, start)
            finally:
                self.running -= 1
        return answer

    async def send(self, request, answer, start):
        for at in range(start, len(self.content), PIECE):
            if self.cut_after is not None and at >= self.cut_after:
                request.transport.abort()
                return
            if at >= self.waits_at:
                await self.on.wait()
            await answer.write(self.content[at : at + PIECE])
            self.sent += len(self.content[at : at + PIECE])
            await asyncio.sleep(0.005)


class TailAdapter(HttpAdapter):
    @property
    def capabilities(self):
        return Capabilities(ranges="tail")


@pytest.fixture
async def opened(request, tmp_path):
    """A server of `request.param` = (size, tail, quota) and an engine on it."""
    size, tail, quota = request.param
    server = Server(size, tail=tail)
    app = web.Application()
    app.router.add_route("*", "/file", server.answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    url = f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"
    dataset = MountedDataset("odd", "Odd", "http", url, Access.READ, published=True)
    kind = TailAdapter if tail else HttpAdapter
    tuning = Tuning(quota_bytes=quota, deadline_seconds=5.0)
    async with running_engine(
        tmp_path / "v", [dataset], tuning=tuning, adapters=lambda one: kind(one.url, {})
    ) as engine:
        yield server, engine
    await runner.cleanup()


both = pytest.mark.parametrize(
    "opened", [(12 * MIB + 5, True, 1 << 30), (12 * MIB + 5, False, 1 << 30)], indirect=True, ids=["tail", "none"]
)


@both
async def test_r12_a_file_is_read_by_one_stream_and_every_byte_comes_once(opened):
    server, engine = opened
    handle = await engine.open("odd/file")
    got = [await engine.read(handle, at, at + 128 * 1024) for at in range(0, handle.size, 128 * 1024)]
    await engine.close(handle)
    assert b"".join(got) == server.content
    assert server.gets == [0]
    assert server.sent == len(server.content)


@both
async def test_r12_each_reader_is_answered_as_soon_as_its_blocks_passed(opened):
    server, engine = opened
    handle, done = await engine.open("odd/file"), []
    server.waits_at = 2 * MIB

    async def read(at):
        assert await engine.read(handle, at, at + 1000) == server.content[at : at + 1000]
        done.append((at, server.sent))
        server.on.set()

    await asyncio.gather(*map(read, (3 * MIB, 0, 5 * MIB, MIB)))
    await engine.close(handle)
    assert server.gets == [0]
    assert [at for at, _ in done] == [0, MIB, 3 * MIB, 5 * MIB]
    assert done[0][1] < 4 * MIB


@pytest.mark.parametrize("opened", [(64 * MIB, True, 1 << 30)], indirect=True, ids=["tail"])
async def test_r12_a_tail_begins_at_the_first_block_missed_and_ends_when_nobody_waits(opened):
    server, engine = opened
    handle = await engine.open("odd/file")
    assert await engine.read(handle, 40 * MIB + 5, 40 * MIB + 10) == server.content[40 * MIB + 5 : 40 * MIB + 10]
    async with asyncio.timeout(20):
        while server.running:
            await asyncio.sleep(0.05)
    assert server.gets == [40 * MIB]
    assert server.sent < 24 * MIB  # the rest of it was on its way in the sockets
    assert await engine.read(handle, MIB, MIB + 10) == server.content[MIB : MIB + 10]
    assert server.gets == [40 * MIB, MIB]
    await engine.close(handle)


@pytest.mark.parametrize("opened", [(8 * MIB, False, 1 << 30)], indirect=True, ids=["none"])
async def test_r12_without_ranges_a_stream_ends_with_the_file(opened):
    server, engine = opened
    handle = await engine.open("odd/file")
    await engine.read(handle, 10, 20)
    async with asyncio.timeout(20):
        while handle.cached(0, 8 * MIB) is None:
            await asyncio.sleep(0.05)
    assert handle.cached(0, 8 * MIB) == server.content
    assert server.gets == [0]
    await engine.close(handle)


@pytest.mark.parametrize("opened", [(12 * MIB, True, 2 * MIB), (12 * MIB, False, 2 * MIB)], indirect=True)
async def test_r6_r12_a_small_quota_is_kept_and_reads_stay_exact(opened):
    server, engine = opened
    handle = await engine.open("odd/file")
    for at in range(0, 12 * MIB, MIB):
        assert await engine.read(handle, at, at + 1000) == server.content[at : at + 1000]
        assert engine.status()[0].cached_bytes <= 2 * MIB
    await engine.close(handle)


@both
async def test_r4_r12_what_breaks_off_or_changes_is_an_error_and_never_a_wrong_byte(opened):
    server, engine = opened
    handle = await engine.open("odd/file")
    server.cut_after = 2 * MIB
    with pytest.raises(ArchiveUnreachable):
        await engine.read(handle, 5 * MIB, 5 * MIB + 10)
    await asyncio.sleep(2.1)  # an archive that was away has a rest
    server.cut_after, server.etag = None, '"two"'
    with pytest.raises(VersionChanged):
        await engine.read(handle, 5 * MIB, 5 * MIB + 10)
    await engine.close(handle)
