"""Ranges that come piece by piece over real connections: R15 and R16 of docs/semantics/dms.md."""

import asyncio
import os
import re
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from jupyter_alc.core.dataset import Access, MountedDataset
from jupyter_alc.core.errors import ArchiveUnreachable
from jupyter_alc.dms.adapters.http import HttpAdapter
from jupyter_alc.dms.engine.engine import Tuning
from jupyter_alc.testing.engines import running_engine
from stalls import Stalls

pytestmark = pytest.mark.integration
BLOCK, MIB = 65_536, 1 << 20


class Server(ThreadingHTTPServer):
    """One file of 8 MiB; `hold` makes bodies stop in the middle until `on` is set, `cut` ends them there."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.content, self.asked, self.peers = os.urandom(8 * MIB), [], set()
        self.hold = self.cut = self.hangs_up = False
        self.on = threading.Event()
        self.elsewhere = ""

    def handle_error(self, *_):
        """A client that hung up is no news."""


class Handler(BaseHTTPRequestHandler):
    """HEAD and GET with ranges."""

    protocol_version = "HTTP/1.1"

    def do_HEAD(self):
        self._head(200, len(self.server.content))

    def do_GET(self):
        server = self.server
        first, last = map(int, re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers["Range"]).groups())
        server.asked.append((first, last + 1, dict(self.headers)))
        server.peers.add(self.client_address)
        if server.elsewhere:
            self._head(302, 0, Location=server.elsewhere)
            return
        body = server.content[first : last + 1]
        self._head(206, len(body), **{"Content-Range": f"bytes {first}-{last}/{len(server.content)}"})
        half = len(body) // 2 if server.hold or server.cut else len(body)
        self.wfile.write(body[:half])
        if server.cut:
            server.cut, self.close_connection = False, True
            return
        if server.hold:
            server.on.wait(30)
            self.wfile.write(body[half:])
        self.close_connection = server.hangs_up  # without a word, as a server that has waited long enough

    def _head(self, status, length, **more):
        self.send_response(status)
        headers = {"ETag": '"one"', "Last-Modified": "Sun, 09 Sep 2001 01:46:40 GMT", "Content-Length": length, **more}
        for name, value in headers.items():
            self.send_header(name, str(value))
        self.end_headers()

    def log_message(self, *_):
        """Nobody reads it."""


@contextmanager
def serving():
    server = Server()
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield server
    finally:
        server.on.set()
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def server():
    with serving() as made:
        yield made


@pytest.fixture
async def adapter(server):
    adapter = HttpAdapter(f"http://127.0.0.1:{server.server_port}", {"token": "secret"})
    yield adapter
    await adapter.close()


@pytest.fixture
async def engine(server, tmp_path):
    url = f"http://127.0.0.1:{server.server_port}"
    dataset = MountedDataset("ds", "Data", "http", url, Access.READ, published=True)
    async with running_engine(tmp_path / "volume", [dataset]) as engine:
        yield engine


async def test_r15_a_reader_waits_for_its_blocks_and_not_for_the_request(server, engine):
    handle, server.hold = await engine.open("ds/file"), True
    whole = asyncio.create_task(engine.read(handle, 2 * MIB, 4 * MIB))
    while not server.asked:
        await asyncio.sleep(0.01)
    async with asyncio.timeout(20):
        got = await engine.read(handle, 2 * MIB + 5, 2 * MIB + 3 * BLOCK)
    assert got == server.content[2 * MIB + 5 : 2 * MIB + 3 * BLOCK]
    assert not whole.done()
    server.on.set()
    assert await whole == server.content[2 * MIB : 4 * MIB]
    assert [one[:2] for one in server.asked] == [(2 * MIB, 4 * MIB)]
    await engine.close(handle)


async def test_r15_what_came_before_a_request_broke_off_stays_and_the_rest_is_asked_for(server, engine):
    handle, server.cut = await engine.open("ds/file"), True
    assert await engine.read(handle, 2 * MIB, 4 * MIB) == server.content[2 * MIB : 4 * MIB]
    assert [one[:2] for one in server.asked] == [(2 * MIB, 4 * MIB), (3 * MIB, 4 * MIB)]
    async with asyncio.timeout(20):  # a request ends, and is counted, a moment after its last block is here
        while engine.status()[0].moved_bytes < 2 * MIB:
            await asyncio.sleep(0.01)
    assert engine.status()[0].moved_bytes == 2 * MIB
    await engine.close(handle)


async def test_who_gives_up_hangs_up_and_takes_nothing_more(server, adapter):
    server.hold, taken = True, []
    work = asyncio.create_task(adapter.fill("file", 0, 2 * MIB, '"one"', lambda at, piece: taken.append(len(piece))))
    while not taken:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.2)
    before = list(taken)
    with Stalls() as stalls:
        began = stalls.mark()
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work
        assert stalls.since(began) < 1
    server.on.set()
    await asyncio.sleep(0.1)
    assert taken == before
    server.hold = False
    assert await adapter.read_range("file", 5, 9, '"one"') == server.content[5:9]


async def test_a_connection_is_used_again_and_one_that_ended_meanwhile_is_replaced(server, adapter):
    for number in range(5):
        assert await adapter.read_range("file", number, number + 9, '"one"') == server.content[number : number + 9]
    assert len(server.peers) == 1
    server.hangs_up = True
    for _ in range(3):
        assert await adapter.read_range("file", 0, MIB, '"one"') == server.content[:MIB]
        await asyncio.sleep(0.05)
    assert len(server.peers) == 3


async def test_the_first_range_finds_the_connection_that_was_made_ahead(server, adapter, monkeypatch):
    await adapter.approach()
    monkeypatch.setattr("socket.socket.connect", None)  # nobody can connect any more
    assert await adapter.read_range("file", 0, BLOCK, '"one"') == server.content[:BLOCK]
    await adapter.approach()
    assert len(server.peers) == 1


async def test_a_server_that_is_not_there_is_no_error_before_somebody_asks():
    adapter = HttpAdapter("http://127.0.0.1:1", {})
    await adapter.approach()
    await adapter.close()


async def test_a_password_does_not_follow_to_another_server(server, adapter):
    with serving() as other:
        server.elsewhere = f"http://127.0.0.1:{other.server_port}/file"
        assert await adapter.read_range("file", 7, 99, '"one"') == other.content[7:99]
        assert server.asked[0][2]["Authorization"] == "Bearer secret"
        assert "Authorization" not in other.asked[0][2]


async def test_what_is_sent_round_in_circles_ends(server, adapter):
    server.elsewhere = "/file"
    with pytest.raises(ArchiveUnreachable):
        await adapter.read_range("file", 7, 99, '"one"')
    assert len(server.asked) == 10


async def test_a_server_that_nobody_vouches_for_is_not_read(server):
    adapter = HttpAdapter(f"https://127.0.0.1:{server.server_port}", {})
    with pytest.raises(ArchiveUnreachable):
        await adapter.read_range("file", 0, 9, '"one"')
    assert not server.asked
    await adapter.close()


async def test_r16_the_loop_has_its_turn_while_a_stream_is_read_and_holes_are_evicted(server, tmp_path):
    dataset = MountedDataset(
        "ds", "Data", "http", f"http://127.0.0.1:{server.server_port}", Access.READ, published=True
    )
    turns, ended = [], False

    async def watch(stalls):
        while not ended:
            began = stalls.mark()
            await asyncio.sleep(0.005)
            turns.append((began, stalls.mark()))

    tuning = Tuning(quota_bytes=3 * MIB, keep_free_bytes=0)
    with Stalls(loop=True) as stalls:
        async with running_engine(tmp_path / "volume", [dataset], tuning=tuning) as engine:
            watching = asyncio.create_task(watch(stalls))
            for _ in range(3):
                handle = await engine.open("ds/file")
                for at in range(0, 8 * MIB, 2 * BLOCK):
                    assert await engine.read(handle, at, at + 2 * BLOCK) == server.content[at : at + 2 * BLOCK]
                await engine.close(handle)
            ended = True
            await watching
        late = [stalls.between(*turn) - 0.005 for turn in turns]
    assert sorted(late)[-2] < 0.05  # one may be the machine's own
