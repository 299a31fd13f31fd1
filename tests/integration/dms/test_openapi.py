"""The description of the socket and what it answers cannot part: every route described, every operation fuzzed."""

from __future__ import annotations

import os
import select
import shutil
import socket
import socketserver
import tempfile
import threading
from pathlib import Path
from typing import Any

import pytest
import schemathesis
import yaml
from hypothesis import HealthCheck, Phase, settings

from jupyter_alc.core.dataset import Access, MountedDataset
from jupyter_alc.dms.access import EngineAccess
from jupyter_alc.dms.daemon.routes import application
from jupyter_alc.dms.daemon.transfer_routes import OPENAPI
from jupyter_alc.testing.data_service import DataService

pytestmark = [pytest.mark.integration, pytest.mark.filterwarnings("ignore::DeprecationWarning")]

DESCRIBED = yaml.safe_load(OPENAPI.read_text(encoding="utf-8"))
VERBS = {"get", "post", "put", "delete"}


def test_every_route_is_described_and_every_description_is_served():
    made = application(EngineAccess(None, dict), None, frozenset())
    served = {
        (route.resource.canonical.removeprefix("/v1"), route.method.lower())
        for route in made.router.routes()
        if route.method != "HEAD"
    }
    described = {(path, verb) for path, told in DESCRIBED["paths"].items() for verb in set(told) & VERBS}
    assert served == described


class Relay(socketserver.ThreadingTCPServer):
    """A port of this computer that leads to the socket, for a fuzzer that knows ports alone."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, place: Path) -> None:
        super().__init__(("127.0.0.1", 0), Passing)
        self.place = place


class Passing(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        with socket.socket(socket.AF_UNIX) as there:
            there.connect(str(self.server.place))
            ends = {self.request: there, there: self.request}
            while True:
                for ready in select.select(list(ends), [], [])[0]:
                    got = ready.recv(1 << 16)
                    if not got:
                        return
                    ends[ready].sendall(got)


@pytest.fixture(scope="module")
def address():
    place = Path(tempfile.mkdtemp(prefix="alc-o-"))
    for name in ("raw", "results"):
        (place / name).mkdir()
        (place / name / "file").write_bytes(os.urandom(300_000))
    service = DataService(
        place / "dms",
        [
            MountedDataset("raw", "Raw", "local", str(place / "raw"), Access.READ, published=True),
            MountedDataset("results", "Results", "local", str(place / "results"), Access.WRITE),
        ],
    )
    service.start()
    relay = Relay(service.socket)
    thread = threading.Thread(target=relay.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{relay.server_address[1]}/v1"
    relay.shutdown()
    relay.server_close()
    thread.join()
    service.stop()
    shutil.rmtree(place)


fuzzed = {**DESCRIBED, "paths": {path: told for path, told in DESCRIBED["paths"].items() if path != "/events"}}
schema = schemathesis.openapi.from_dict(fuzzed)


@schema.parametrize()
@settings(
    max_examples=15,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_whatever_is_sent_the_answer_is_as_described(case: Any, address: str) -> None:
    answer = case.call(base_url=address, timeout=30)
    assert answer.status_code < 500 or answer.status_code in {501, 503, 504, 507}, answer.content
    if answer.status_code >= 400:
        assert {"code", "message", "next_step"} <= set(answer.json())
        return
    case.validate_response(
        answer,
        checks=(
            schemathesis.checks.response_schema_conformance,
            schemathesis.checks.content_type_conformance,
            schemathesis.checks.status_code_conformance,
        ),
    )
