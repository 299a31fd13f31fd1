"""A real VMM on loopback over a simulated cloud, a small stand-in for the Hub's /user, and agents that speak HTTP."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from tornado import web
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets

from jupyter_alc.testing.simulated_cloud import SimulatedCloud
from jupyter_alc.vmm.client import HubClient, VmmClient
from jupyter_alc.vmm.service.application import Service
from jupyter_alc.vmm.timing import Timing
from jupyter_alc.vmm.types import MachineType, types_by_id

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

QUICK = Timing(
    launch_seconds=20,
    lease_seconds=30,
    orders_seconds=2,
    drain_retry_seconds=0.3,
    leak_grace_seconds=0.3,
    destroy_retry_seconds=0.2,
    boot_retry_seconds=0.1,
    calm_seconds=0.3,
    eager_seconds=0.1,
)
TYPES = (
    MachineType("small", "General", cores=2, memory_bytes=3 * 10**9, environment="spark", min_ready=1, max_total=2),
    MachineType("large", "Python only", cores=1, memory_bytes=10**9, environment="python", min_ready=1, max_total=3),
)
TOKENS = {
    "ada-token": {"kind": "user", "name": "ada", "scopes": ["access:services!service=vmm"]},
    "brahe-token": {"kind": "user", "name": "brahe", "scopes": ["access:services"]},
    "narrow-token": {"kind": "user", "name": "ada", "scopes": ["read:users!user=ada"]},
    "service-token": {"kind": "service", "name": "ada", "scopes": ["access:services"]},
}


class Agent:
    """Speaks for one machine as the real agent does: enrol, ready, orders, stages, drain."""

    def __init__(self, url: str, key: str, token: str) -> None:
        self.url, self.key, self.token = url, key, token
        self.secret = ""
        self.orders: list[dict[str, Any]] = []
        self.unsent: list[list[dict[str, Any]]] = []  # one answer per drain; empty when used up
        self.fail_stage = ""
        self.answers = asyncio.Event()
        self.answers.set()
        self.session = aiohttp.ClientSession()

    async def call(
        self, method: str, path: str, body: Any = None, secret: str | None = None
    ) -> tuple[int, dict[str, Any]]:
        proof = f"machine {self.key} {self.secret if secret is None else secret}"
        async with self.session.request(method, self.url + path, json=body, headers={"Authorization": proof}) as answer:
            return answer.status, await answer.json()

    async def enrol(self) -> tuple[int, dict[str, Any]]:
        status, told = await self.call("POST", "/v1/agent/enrol", {"key": self.key, "token": self.token})
        self.secret = told.get("machine_secret", self.secret)
        return status, told

    async def report(self, event: str, **more: Any) -> tuple[int, dict[str, Any]]:
        return await self.call("POST", "/v1/agent/report", {"event": event, **more})

    async def live(self) -> None:
        status, _ = await self.enrol()
        assert status == 200
        await self.report("ready", self_test={"fuse": True})
        after = 0
        while True:
            status, told = await self.call("GET", f"/v1/agent/orders?after={after}")
            if status == 403:
                return
            after, order = told["number"], told["order"]
            await self.answers.wait()
            if order is not None:
                self.orders.append(order)
                await self.obey(order)

    async def obey(self, order: dict[str, Any]) -> None:
        mine = {"allocation": order["allocation"], "fence": order["fence"]}
        if order["kind"] == "release":
            left = self.unsent.pop(0) if self.unsent else []
            await self.report("drained", unsent=left, **mine)
            return
        for name in ("account", "mount", "proof", "server"):
            if name == self.fail_stage:
                problem = {"code": "archive_unreachable", "message": "The archive is down.", "next_step": "Wait."}
                await self.report("failed", problem=problem, **mine)
                return
            url = {"url": "http://127.0.0.1:1/"} if name == "server" else {}
            await self.report("stage", stage={"name": name, "seconds": 0.01}, **mine, **url)


class House:
    """One VMM with its cloud and the agents on its machines."""

    def __init__(self, folder: Path, hub_api: str, **options: Any) -> None:
        self.folder, self.hub_api = folder, hub_api
        self.loop = asyncio.get_running_loop()
        self.cloud = SimulatedCloud(on_create=self.arrived, **options)
        self.agents: dict[str, Agent] = {}
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self.on_agent: Callable[[Agent], None] = lambda agent: None
        self.silent = False
        self.closed = False
        self.port = 0
        self.vmm: Service | None = None
        self.clients: list[HubClient | VmmClient] = []

    def arrived(self, machine: Any) -> None:
        self.loop.call_soon_threadsafe(self._arrived, machine.key, machine.user_data)

    def _arrived(self, key: str, data: Any) -> None:
        if self.closed:
            return
        agent = Agent(data["vmm_url"], key, data["enrolment_token"])
        self.agents[key] = agent
        self.on_agent(agent)
        if not self.silent:
            self.tasks[key] = asyncio.create_task(agent.live())

    def speak(self) -> None:
        """Let the agents that were silent so far live, and those that come."""
        self.silent = False
        for key in self.agents.keys() - self.tasks.keys():
            self.tasks[key] = asyncio.create_task(self.agents[key].live())

    async def start(self) -> HubClient:
        self.vmm = Service(
            store_path=self.folder / "vmm.sqlite",
            cloud=self.cloud,
            types=types_by_id(TYPES),
            hub_secret="the-secret",
            hub_api=self.hub_api,
            timing=QUICK,
        )
        await self.vmm.start("127.0.0.1", self.port)
        self.port = int(self.vmm.url.split(":")[2].split("/")[0])
        client = HubClient(self.vmm.url, "the-secret")
        self.clients.append(client)
        return client

    async def stop(self) -> None:
        assert self.vmm is not None
        await self.vmm.stop()
        self.vmm = None

    def person(self, token: str) -> VmmClient:
        assert self.vmm is not None
        client = VmmClient(self.vmm.url, token)
        self.clients.append(client)
        return client

    async def close(self) -> None:
        if self.vmm is not None:
            await self.stop()
        self.closed = True
        for task in self.tasks.values():
            task.cancel()
        await asyncio.gather(*self.tasks.values(), return_exceptions=True)
        for agent in self.agents.values():
            await agent.session.close()
        for client in self.clients:
            await client.close()


async def until(true: Callable[[], Any], seconds: float = 20.0) -> Any:
    """Wait until `true` (which may be async) says so; return what it said."""
    async with asyncio.timeout(seconds):
        while True:
            said = true()
            if asyncio.iscoroutine(said):
                said = await said
            if said:
                return said
            await asyncio.sleep(0.03)


class _HubUser(web.RequestHandler):
    def get(self) -> None:
        token = self.request.headers.get("Authorization", "").removeprefix("token ")
        if token not in TOKENS:
            raise web.HTTPError(403)
        self.finish(json.dumps(TOKENS[token]))


@pytest.fixture
async def hub_api() -> AsyncIterator[str]:
    sockets = bind_sockets(0, "127.0.0.1")
    server = HTTPServer(web.Application([("/hub/api/user", _HubUser)], log_function=lambda handler: None))
    server.add_sockets(sockets)
    yield f"http://127.0.0.1:{sockets[0].getsockname()[1]}/hub/api"
    server.stop()
    await server.close_all_connections()


@pytest.fixture
async def house(tmp_path: Path, hub_api: str) -> AsyncIterator[House]:
    made = House(tmp_path / "vmm", hub_api)
    yield made
    await made.close()
