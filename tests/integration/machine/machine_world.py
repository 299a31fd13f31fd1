"""A real launcher, real machines, and a small VMM that speaks the agent's REST over a real socket."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web

ROOT = Path(__file__).resolve().parents[3]
ENVIRONMENTS = ROOT / "build/env"
SERVICE_UID = 52000
ADA, ADA_DMS, BRAHE, BRAHE_DMS = 53000, 53001, 53002, 53003


@dataclass
class Host:
    """A launcher and its folders; `drop` runs it as an ordinary user."""

    folder: Path
    drop: int | None = None
    ports: tuple[int, ...] = ()
    code: Path = field(default_factory=lambda: Path(os.environ.get("ALC_TEST_CODE", ROOT)))
    process: subprocess.Popen[str] | None = None
    told: dict[str, Any] = field(default_factory=dict)

    @property
    def state(self) -> Path:
        return self.folder / "state"

    def start(self) -> dict[str, Any]:
        words = [sys.executable, "-m", "jupyter_alc.vmm.clouds.launcher", "--code", str(self.code)]
        words += ["--state", str(self.state), "--run", str(self.folder / "run"), "--environments", str(ENVIRONMENTS)]
        words += ["--service-uid", str(SERVICE_UID)] if self.drop is None else []
        words += [word for port in self.ports for word in ("--port", str(port))]
        ids: dict[str, Any] = {"user": self.drop, "group": self.drop, "extra_groups": []} if self.drop else {}
        environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "HOME": str(self.folder)}
        with (self.folder / "launcher.log").open("a") as log:
            self.process = subprocess.Popen(
                words, stdout=subprocess.PIPE, stderr=log, env=environment, text=True, start_new_session=True, **ids
            )
        assert self.process.stdout
        line = self.process.stdout.readline()
        assert line, (self.folder / "launcher.log").read_text()
        self.told = json.loads(line)
        return self.told

    def stop(self, number: int = signal.SIGTERM) -> None:
        if self.process:
            self.process.send_signal(number)
            self.process.wait(20)
            assert self.process.stdout
            self.process.stdout.close()
            self.process = None

    def ask(self, verb: str, **told: Any) -> dict[str, Any]:
        with socket.socket(socket.AF_UNIX) as caller:
            caller.settimeout(60)
            caller.connect(self.told["socket"])
            caller.sendall(json.dumps({"verb": verb, **told}).encode() + b"\n")
            with caller.makefile() as answers:
                answer: dict[str, Any] = json.loads(answers.readline())
        return answer

    def make(self, key: str, **changed: Any) -> dict[str, Any]:
        wanted = {"type": "small", "cores": 1, "memory_bytes": 1_500_000_000, "environment": "spark"}
        user_data = {"vmm_url": "http://127.0.0.1:9", "machine_key": key, "enrolment_token": "none"}
        answer = self.ask("make", key=key, **{**wanted, "user_data": user_data, **changed})
        assert "machine" in answer, answer
        return dict(answer["machine"])

    def machines(self) -> dict[str, dict[str, Any]]:
        return {one["key"]: one for one in self.ask("list")["machines"]}

    def run_in(self, machine: dict[str, Any], script: str, uid: int | None = None) -> str:
        """Run a shell script inside, as root or as a person, in the machine's own view."""
        noted = json.loads((self.state / "machines" / machine["key"] / "machine.json").read_text())
        join = "".join(f"echo $$ > {group}/cgroup.procs; " for group in noted["cgroups"])
        who = ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", "--no-new-privs"] if uid else []
        words = ["nsenter", "-t", str(machine["pid"]), "-m", "-p", "-n", "-u", "-i", *who, "/bin/bash", "-c", script]
        done = subprocess.run(
            ["/bin/sh", "-c", f'{join}exec "$@"', "sh", *words],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env={"PATH": "/usr/bin:/usr/sbin", "HOME": "/"},
        )
        return done.stdout + done.stderr

    def log(self, key: str) -> str:
        return (self.state / "machines" / key / "machine.log").read_text()

    def close(self) -> None:
        if self.process is None:
            self.start()
        for key in self.machines():
            assert self.ask("end", key=key) == {"gone": True}
        self.stop()


@dataclass
class Vmm:
    """The agent's REST, with the orders a test gives and the reports it got; and the Hub's routes a server needs."""

    url: str
    token: str = "once-only"
    secret: str = "machine-secret"
    enrolled: list[str] = field(default_factory=list)
    reports: list[dict[str, Any]] = field(default_factory=list)
    orders: list[dict[str, Any]] = field(default_factory=list)
    away: bool = False
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def enrol(self, request: web.Request) -> web.Response:
        told = await request.json()
        if told["token"] != self.token or told["key"] in self.enrolled:
            return web.json_response({"code": "denied", "message": "no", "next_step": ""}, status=403)
        self.enrolled.append(told["key"])
        return web.json_response({"machine_secret": self.secret})

    def _admit(self, request: web.Request) -> None:
        kind, _, secret = request.headers["Authorization"].split(" ")
        if self.away or kind != "machine" or secret != self.secret:
            raise web.HTTPServiceUnavailable if self.away else web.HTTPForbidden

    async def report(self, request: web.Request) -> web.Response:
        self._admit(request)
        async with self.changed:
            self.reports.append(await request.json())
            self.changed.notify_all()
        return web.json_response({})

    async def order(self, request: web.Request) -> web.Response:
        self._admit(request)
        after = int(request.query["after"])
        async with self.changed:
            try:
                await asyncio.wait_for(self.changed.wait_for(lambda: len(self.orders) > after), 2)
            except TimeoutError:
                return web.json_response({"number": len(self.orders), "order": None})
        return web.json_response({"number": len(self.orders), "order": self.orders[-1]})

    async def hub(self, request: web.Request) -> web.Response:
        return web.json_response({"version": "6.1.1"})

    async def give(self, **order: Any) -> None:
        async with self.changed:
            self.orders.append(order)
            self.changed.notify_all()

    async def wait_for(self, event: str, seconds: float = 60, after: int = 0, **fields: Any) -> dict[str, Any]:
        """Wait for a report; returns it."""

        def found() -> dict[str, Any] | None:
            for one in self.reports[after:]:
                if one["event"] == event and all(one.get(name) == value for name, value in fields.items()):
                    return one
            return None

        async with self.changed:
            try:
                await asyncio.wait_for(self.changed.wait_for(found), seconds)
            except TimeoutError:
                raise AssertionError(f"no {event} {fields} among {self.reports}") from None
        got = found()
        assert got
        return got

    def user_data(self, key: str) -> dict[str, Any]:
        return {"vmm_url": self.url, "machine_key": key, "enrolment_token": self.token}


def claim_order(
    hub: str, home: str, dms: str, *, name: str = "ada", ids: tuple[int, int], **changed: Any
) -> dict[str, Any]:
    uid, dms_uid = ids
    environment = {
        "JUPYTERHUB_API_TOKEN": "s3cret-token-of-the-server",
        "JUPYTERHUB_API_URL": f"{hub}/hub/api",
        "JUPYTERHUB_BASE_URL": "/",
        "JUPYTERHUB_SERVICE_PREFIX": f"/user/{name}/",
        "JUPYTERHUB_USER": name,
        "JUPYTERHUB_CLIENT_ID": f"jupyterhub-user-{name}",
        "JUPYTERHUB_SERVER_NAME": "",
        "JUPYTERHUB_HOST": "",
    }
    order = {
        "kind": "claim",
        "allocation": "allocation-1",
        "fence": 1,
        "person": {"name": name, "uid": uid, "gid": uid, "dms_uid": dms_uid, "dms_gid": dms_uid},
        "home": home,
        "dms_volume": dms,
        "data": {"datasets": []},
        "server": {"environment": environment, "args": [], "port": 8888},
        "deadlines": {"account": 30, "mount": 60, "proof": 60, "server": 90},
    }
    return {**order, **changed}


class serve_vmm:  # noqa: N801  (used like a function)
    """A `Vmm` served at `address` while the block runs."""

    def __init__(self, address: str) -> None:
        self.address = address

    async def __aenter__(self) -> Vmm:
        app = web.Application()
        held = Vmm("")
        app.router.add_post("/v1/agent/enrol", held.enrol)
        app.router.add_post("/v1/agent/report", held.report)
        app.router.add_get("/v1/agent/orders", held.order)
        app.router.add_route("*", "/hub/api{rest:.*}", held.hub)
        self.runner = web.AppRunner(app, shutdown_timeout=1)
        await self.runner.setup()
        site = web.TCPSite(self.runner, self.address, 0)
        await site.start()
        port = self.runner.addresses[0][1]
        held.url = f"http://{self.address}:{port}"
        return held

    async def __aexit__(self, *_: object) -> None:
        await self.runner.cleanup()


def until(check: Any, seconds: float = 20) -> Any:
    """Wait until `check()` is true; returns it."""
    end = time.monotonic() + seconds
    while not (got := check()):
        assert time.monotonic() < end, "it never became true"
        time.sleep(0.05)
    return got


async def soon(check: Any, seconds: float = 30) -> Any:
    """Wait until `check()` is true, while the VMM of this process goes on answering."""
    end = time.monotonic() + seconds
    while not (got := await asyncio.to_thread(check)):
        assert time.monotonic() < end, "it never became true"
        await asyncio.sleep(0.1)
    return got


def free_port(address: str = "127.0.0.1") -> int:
    """A port nobody has now."""
    with socket.create_server((address, 0)) as probe:
        return int(probe.getsockname()[1])
