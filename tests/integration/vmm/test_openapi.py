"""The description and the behaviour cannot part: every operation is fuzzed; no 5xx, no answer that is not described."""

from __future__ import annotations

import asyncio
import json
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import schemathesis
import yaml
from hypothesis import HealthCheck, settings
from schemathesis.specs.openapi.checks import response_schema_conformance
from tornado import web
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets

from tests.integration.vmm.conftest import TOKENS, Agent, House

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.integration, pytest.mark.filterwarnings("ignore::DeprecationWarning")]

DESCRIBED = yaml.safe_load((Path(__file__).parents[3] / "jupyter_alc/vmm/openapi.yaml").read_text(encoding="utf-8"))
DESCRIBED["paths"].pop("/v1/close")  # would end what the others ask; test_a_life closes
schema = schemathesis.openapi.from_dict(DESCRIBED)


class _HubUser(web.RequestHandler):
    def get(self) -> None:
        self.finish(json.dumps(TOKENS["ada-token"]))


class Fuzzed:
    """A VMM on a loop of its own thread, so that a synchronous fuzzer can ask it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.up = threading.Event()
        self.thread = threading.Thread(target=lambda: asyncio.run(self.live()))
        self.proofs: dict[str, str] = {}

    async def live(self) -> None:
        self.loop, self.end = asyncio.get_running_loop(), asyncio.Event()
        sockets = bind_sockets(0, "127.0.0.1")
        hub = HTTPServer(web.Application([("/user", _HubUser)], log_function=lambda handler: None))
        hub.add_sockets(sockets)
        house = House(self.folder, f"http://127.0.0.1:{sockets[0].getsockname()[1]}")
        house.silent = True
        client = await house.start()
        assert house.vmm is not None
        made = await client.claim(user="ada", server="", spawn=1, machine_type="small")
        while not house.agents:
            await asyncio.sleep(0.02)
        agent: Agent = next(iter(house.agents.values()))
        await agent.enrol()
        self.url, self.known = house.vmm.url, made["id"]
        self.proofs = {
            "hub": "hub the-secret",
            "person": "token ada-token",
            "machine": f"machine {agent.key} {agent.secret}",
        }
        self.up.set()
        await self.end.wait()
        await house.close()
        hub.stop()
        await hub.close_all_connections()


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fuzzed]:
    made = Fuzzed(tmp_path_factory.mktemp("fuzzed"))
    made.thread.start()
    assert made.up.wait(30)
    yield made
    made.loop.call_soon_threadsafe(made.end.set)
    made.thread.join(30)


@schema.parametrize()
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_operation_answers_as_described(case: schemathesis.Case, fuzzed: Fuzzed) -> None:
    """As the one who may ask, with whatever the description allows and with what it does not."""
    security: list[dict[str, Any]] = case.operation.definition.raw["security"]
    proof = fuzzed.proofs[next(iter(security[0]))] if security else ""
    if case.operation.path == "/v1/agent/orders":  # 0 is the only number that need not wait for an order
        case.query = {"after": "x"}
    answer = case.call(base_url=fuzzed.url, headers={"Authorization": proof} if proof else {}, timeout=30)
    assert answer.status_code < 500, answer.content
    assert answer.headers["content-type"][0].startswith("application/json")
    case.validate_response(answer, checks=[response_schema_conformance])
