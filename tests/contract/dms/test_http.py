"""The HTTP adapter: the shipped contract on a server with ranges and ETags and on one with neither (N9)."""

import asyncio
import os
import threading
import time
from email.utils import formatdate
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
from aiohttp import web

from jupyter_alc.core.dataset import Access, MountedDataset
from jupyter_alc.core.errors import ArchiveUnreachable, BadInput, Denied, FileNotThere, VersionChanged
from jupyter_alc.dms.adapters.answers import NotAnAnswer
from jupyter_alc.dms.adapters.http import HttpAdapter
from jupyter_alc.dms.adapters.indexes import index
from jupyter_alc.dms.adapters.interface import AnsweredBadly
from jupyter_alc.dms.adapters.opening import open_adapter
from jupyter_alc.testing.adapters import AdapterContract
from jupyter_alc.testing.faulty_adapters import FaultyAdapterContract

pytestmark = pytest.mark.contract


class Served(AdapterContract, FaultyAdapterContract):
    """What holds on both; `url` is where the folder `top` is served."""

    @pytest.fixture
    def top(self, tmp_path):
        (tmp_path / "served").mkdir()
        return tmp_path / "served"

    @pytest.fixture
    def put(self, top):
        def put(path, data):
            (top / path).parent.mkdir(parents=True, exist_ok=True)
            (top.parent / "plant").write_bytes(data)
            (top.parent / "plant").replace(top / path)

        return put

    @pytest.fixture
    async def adapter(self, url, adapter_at):
        adapter = adapter_at(url.removeprefix("http://"))
        yield adapter
        await adapter.close()

    @pytest.fixture
    def archive_at(self, url):
        return "127.0.0.1", int(url.rpartition(":")[2])

    @pytest.fixture
    def adapter_at(self):
        return lambda at: HttpAdapter(f"http://{at}", {})

    async def test_a_stream_goes_from_its_start_to_the_end(self, adapter, put):
        data = os.urandom(700_001)
        put("file", data)
        token = (await adapter.info("file")).token
        for start in (0, 1, 700_000):
            assert b"".join([piece async for piece in adapter.open_stream("file", start, token)]) == data[start:]

    async def test_nothing_above_the_dataset_is_reached(self, adapter, top):
        (top.parent / "secret").write_text("x")
        for path in ("../secret", "a/../../secret", ".."):
            with pytest.raises(FileNotThere):
                await adapter.info(path)


class TestServerWithRanges(Served):
    unspeakable = "&"  # its index does not write it as HTML has it

    @pytest.fixture
    async def url(self, top):
        app = web.Application()
        app.router.add_static("/", top, show_index=True)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"
        await runner.cleanup()

    async def test_ranges_stay_full(self, adapter, put):
        put("file", b"abcdef")
        await adapter.read_range("file", 1, 3, (await adapter.info("file")).token)
        assert adapter.capabilities.ranges == "full"


class TestServerWithoutRangesAndEtags(Served):
    @pytest.fixture
    def url(self, top):
        class Quiet(SimpleHTTPRequestHandler):
            def log_message(self, *_):
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(top)))
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        server.server_close()
        thread.join()

    async def test_that_it_has_no_ranges_is_found_out(self, adapter, put):
        put("file", b"abcdef")
        await adapter.read_range("file", 1, 3, (await adapter.info("file")).token)
        assert adapter.capabilities.ranges == "none"


class ByFsspecsName:
    """`adapter: fsspec` with an address that is HTTP's: the same contract, whoever keeps it."""

    @pytest.fixture
    def adapter_at(self):
        return lambda at: open_adapter(MountedDataset("d", "D", "fsspec", f"http://{at}", Access.READ))


class TestFsspecOnServerWithRanges(ByFsspecsName, TestServerWithRanges):
    pass


class TestFsspecOnServerWithoutRangesAndEtags(ByFsspecsName, TestServerWithoutRangesAndEtags):
    pass


async def answering(answer):
    """A server that answers everything with `answer(request)`, and an adapter on it."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    return runner, HttpAdapter(f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}", {})


@pytest.mark.parametrize(
    ("status", "error"), [(401, Denied), (403, Denied), (500, ArchiveUnreachable), (429, ArchiveUnreachable)]
)
async def test_a_refusal_is_never_an_absence(status, error):
    async def refuse(_request):
        return web.Response(status=status, headers={"Retry-After": "0"})

    runner, adapter = await answering(refuse)
    for ask in (adapter.info, adapter.listing, lambda path: adapter.read_range(path, 0, 1, '"x"')):
        with pytest.raises(error):
            await ask("file")
    await adapter.close()
    await runner.cleanup()


async def test_n9_a_page_in_place_of_a_file_or_an_index_is_an_error():
    async def page(_request):
        return web.Response(text="<html><title>Sign in</title><a href='file'>", content_type="text/html")

    runner, adapter = await answering(page)
    for ask in (adapter.info("run.nxs"), adapter.listing("run")):
        with pytest.raises(ArchiveUnreachable):
            await ask
    await adapter.close()
    await runner.cleanup()


async def test_n9_a_file_that_is_asked_for_as_a_folder_is_not_brought():
    """There are servers that take no notice of the slash behind a name."""
    sent = 0

    async def big(request):
        nonlocal sent
        answer = web.StreamResponse(headers={"Content-Type": "application/x-hdf5"})
        answer.content_length = 1 << 30
        await answer.prepare(request)
        for _ in range(1 << 10):
            await answer.write(bytes(1 << 20))
            sent += 1
        return answer

    runner, adapter = await answering(big)
    with pytest.raises(AnsweredBadly):
        await adapter.listing("run.nxs")
    assert sent < 64
    await adapter.close()
    await runner.cleanup()


@pytest.mark.parametrize("url", ["https://host/folder?key=1", "https://host/folder#part", "ftp://host", "https://"])
def test_an_address_that_names_cannot_go_behind_is_bad_input(url):
    """Each name would be asked for by the same path, and each folder hold itself."""
    with pytest.raises(BadInput):
        HttpAdapter(url, {})


async def test_a_server_that_lies_about_the_size_gives_no_wrong_byte():
    async def lie(request):
        headers = {"ETag": '"one"', "Accept-Ranges": "none"}
        if request.method == "HEAD":
            return web.Response(headers={**headers, "Content-Length": "100"})
        return web.Response(body=b"short", headers=headers)

    runner, adapter = await answering(lie)
    seen = await adapter.info("file")
    told = await asyncio.gather(
        adapter.read_range("file", 0, 100, seen.token), adapter.read_range("file", 90, 100, seen.token),
        return_exceptions=True,
    )  # fmt: skip
    assert all(isinstance(one, OSError) and not isinstance(one, FileNotThere) for one in told)
    await adapter.close()
    await runner.cleanup()


async def test_an_answer_without_a_size_is_not_taken_for_the_version_of_that_second():
    """A file was replaced within the second, and its server tells neither an ETag nor how long its answers are."""

    async def replaced(request):
        answer = web.StreamResponse(headers={"Last-Modified": formatdate(now, usegmt=True), "Accept-Ranges": "none"})
        if request.method == "HEAD":
            answer.content_length = 100
        await answer.prepare(request)
        if request.method == "GET":
            await answer.write(b"2" * 120)
        return answer

    now = time.time()
    runner, adapter = await answering(replaced)
    seen = await adapter.info("file")
    with pytest.raises(VersionChanged):
        await adapter.read_range("file", 0, 100, seen.token)
    with pytest.raises(VersionChanged):
        await anext(adapter.open_stream("file", 0, seen.token))
    now -= 3600
    settled = await adapter.info("file")
    assert await adapter.read_range("file", 0, 100, settled.token) == b"2" * 100
    await adapter.close()
    await runner.cleanup()


def test_n9_nginx_tells_all_in_one_page():
    text = b"""[{"name":"run","type":"directory","mtime":"Tue, 24 Nov 2026 19:00:00 GMT"},
               {"name":"a b.nxs","type":"file","mtime":"Tue, 24 Nov 2026 19:00:00 GMT","size":7}]"""
    told = index(text, "application/json").entries
    assert [(one.name, one.kind, one.size) for one in told] == [("run", "directory", 0), ("a b.nxs", "file", 7)]
    for odd in (b"", b"{}x", b'[{"name":"a"}]', b"[1]"):
        with pytest.raises(NotAnAnswer):
            index(odd, "application/json")
