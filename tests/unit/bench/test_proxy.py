"""What the bench's proxy counts and delays is what has passed."""

import http.server
import threading
import time
import urllib.request

import pytest

from bench.reading import ceiling
from bench.reading.proxy import Asked, Proxy

pytestmark = pytest.mark.unit

GET = b"GET /bench/big.bin HTTP/1.1\r\nHost: a\r\nRange: bytes=0-99\r\n\r\n"
PUT = b"PUT /bench/x HTTP/1.1\r\nContent-Length: 10\r\n\r\nGET / HTTP"


@pytest.mark.parametrize("step", [1, 7, 1000])
def test_requests_are_counted_however_they_are_cut(step):
    asked, stream = Asked(), GET + PUT + b"HEAD /a HTTP/1.1\r\n\r\n" + GET
    for start in range(0, len(stream), step):
        asked.feed(stream[start : start + step])
    assert (asked.requests, asked.ranges) == (4, 2)


class Answers(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    body = bytes(range(256)) * 8000

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield running.server_address[1]
        running.shutdown()
        thread.join()


def test_bytes_pass_unchanged_are_counted_and_come_later_by_the_delay(server):
    with Proxy("127.0.0.1", server) as proxy:
        for delay in (0.0, 0.2):
            proxy.delay(delay)
            before, since = proxy.counts(), time.monotonic()
            request = urllib.request.Request(f"http://{proxy.address}/", headers={"Range": "bytes=0-"})
            with urllib.request.urlopen(request) as answer:
                assert answer.read() == Answers.body
            assert time.monotonic() - since >= delay
            moved = proxy.counts() - before
            assert (moved.requests, moved.ranges) == (1, 1)
            assert len(Answers.body) < moved.down < len(Answers.body) + 300


def test_a_server_that_is_away_ends_the_connection(server):
    with Proxy("127.0.0.1", 1) as proxy, pytest.raises(OSError, match=r"."):
        urllib.request.urlopen(f"http://{proxy.address}/", timeout=5)


def test_its_own_ceiling_can_be_measured():
    told = ceiling.measure(pieces=1, connections=2)
    assert told["MiB/s"] > 0
    assert told["CPU-s per GiB"] >= 0
