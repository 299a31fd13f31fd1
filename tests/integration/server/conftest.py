"""Real Jupyter servers with our extension, each in a process of its own, and a page server that plays a Spark UI."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
import yaml
from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Iterator

TOP = Path(__file__).resolve().parents[3]
HERE = Path(__file__).resolve().parent
DESCRIPTION = yaml.safe_load((TOP / "jupyter_alc" / "server" / "openapi.yaml").read_text())
TOKEN = "a-token-for-tests"


def as_described(told: Any, name: str) -> None:
    """Check `told` against a schema of the description."""
    schema = {"$ref": f"#/components/schemas/{name}", "components": DESCRIPTION["components"]}
    jsonschema.Draft202012Validator(schema).validate(told)


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


@dataclass
class Answer:
    status: int
    headers: Any
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class _Follow(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


@dataclass
class Running:
    """A server that answers at `url` (with a slash at its end), and how to ask it."""

    url: str
    process: subprocess.Popen[bytes]
    folder: Path
    environment: dict[str, str]
    token: str = TOKEN

    def ask(
        self, verb: str, path: str, body: Any = None, *, headers: dict[str, str] | None = None, token: bool = True
    ) -> Answer:
        data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}{path}", data=data, method=verb, headers=headers or {})
        if token:
            request.add_header("Authorization", f"token {self.token}")
        opener = urllib.request.build_opener(_Follow, urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=30) as got:
                return Answer(got.status, got.headers, got.read())
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, error.headers, error.read())

    def alc(self, verb: str, path: str, body: Any = None, **more: Any) -> Answer:
        return self.ask(verb, f"jupyter-alc/v1/{path}", body, **more)


@dataclass
class PlayedUi:
    """Answers like a Spark UI and remembers what it was asked."""

    url: str = ""
    asked: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_route("*", "/{page:.*}", self._page)
        return app

    async def _page(self, request: web.Request) -> web.StreamResponse:
        self.asked.append((request.method, request.raw_path, dict(request.headers)))
        page, prefix = request.match_info["page"], request.headers.get("X-Forwarded-Context", "")
        if page == "moved":
            return web.Response(status=302, headers={"Location": f"{self.url}/jobs/?a=1", "Set-Cookie": "a=b"})
        if page == "away":
            return web.Response(status=302, headers={"Location": "http://example.org/"})
        if page == "broken":
            return web.Response(status=500, text="java.lang.NullPointerException at org.example")
        if page == "long":
            answer = web.StreamResponse(headers={"Content-Type": "text/plain"})
            await answer.prepare(request)
            for _ in range(200):
                await answer.write(b"x" * 10_000)
            return answer
        if page == "cut":
            answer = web.StreamResponse(headers={"Content-Type": "text/plain", "Content-Length": "100"})
            await answer.prepare(request)
            await answer.write(b"half")
            assert request.transport is not None
            request.transport.close()
            return answer
        if page == "static/utils.js":
            return web.Response(text='words.indexOf("proxy")', content_type="text/javascript")
        if page.startswith("static/jquery."):
            return web.Response(text="var jQuery;", content_type="text/javascript", headers={"ETag": '"1"'})
        text = f"<a href='{prefix}/stages/'>{request.method} {page}</a>"
        return web.Response(
            text=text, content_type="text/html", headers={"Set-Cookie": "spark=1", "Connection": "close"}
        )


@pytest.fixture(scope="session")
def spark_ui() -> Iterator[PlayedUi]:
    played, port = PlayedUi(), free_port()
    played.url = f"http://127.0.0.1:{port}"
    loop = asyncio.new_event_loop()

    async def serve() -> web.AppRunner:
        runner = web.AppRunner(played.app())
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        return runner

    runner = loop.run_until_complete(serve())
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    yield played
    asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)
    loop.close()


def jupyter_environment(folder: Path, **more: str) -> dict[str, str]:
    """An environment in which Jupyter reads and writes only below `folder`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("JUPYTER", "ALC_", "JPY_"))}
    for name in ("config", "data", "runtime"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    return {
        **kept,
        "HOME": str(folder),
        "JUPYTER_CONFIG_DIR": str(folder / "config"),
        "JUPYTER_DATA_DIR": str(folder / "data"),
        "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
        "IPYTHONDIR": str(folder / "ipython"),
        "PYTHONPATH": f"{TOP}:{TOP / 'spawners'}",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        **more,
    }


def stand_in_config(folder: Path, *lines: str) -> Path:
    """A configuration file with our extension and the stand-ins."""
    config = folder / "config" / "jupyter_server_config.py"
    config.write_text(
        "\n".join(
            [
                "import sys",
                f"sys.path.insert(0, {str(HERE)!r})",
                "from stand_ins import parts",
                "from jupyter_alc.server.app import AlcExtension",
                "AlcExtension.make_parts = staticmethod(parts)",
                'c.ServerApp.jpserver_extensions = {"jupyter_alc": True}',
                "c.AlcExtension.data_seconds = 0.5",
                "c.AlcExtension.clusters_seconds = 0.5",
                *lines,
            ]
        )
    )
    return config


def start_server(folder: Path, environment: dict[str, str]) -> Running:
    """Start `jupyter server` and wait until it answers."""
    port = free_port()
    log = (folder / "server.log").open("wb")
    arguments = [
        *(sys.executable, "-m", "jupyter_server", "--allow-root", "--no-browser", "--ServerApp.ip=127.0.0.1"),
        *(f"--ServerApp.port={port}", "--ServerApp.port_retries=0", f"--IdentityProvider.token={TOKEN}"),
        *(
            f"--ServerApp.root_dir={folder}",
            "--ServerApp.base_url=/a%40b/",
            "--ServerApp.allow_unauthenticated_access=False",
        ),
    ]
    process = subprocess.Popen(arguments, cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True)
    log.close()
    running = Running(f"http://127.0.0.1:{port}/a%40b/", process, folder, environment)
    wait_for(running, "api/status")
    return running


def wait_for(running: Running, path: str, seconds: float = 60) -> None:
    """Wait until `path` answers 200."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert running.process.poll() is None, (running.folder / "server.log").read_text()
        try:
            if running.ask("GET", path).status == 200:
                return
        except OSError:
            pass
        time.sleep(0.1)
    raise AssertionError((running.folder / "server.log").read_text())


def stop_server(running: Running) -> None:
    """End the server and what it started."""
    running.process.send_signal(signal.SIGTERM)
    try:
        running.process.wait(20)
    except subprocess.TimeoutExpired:
        os.killpg(running.process.pid, signal.SIGKILL)
        running.process.wait(10)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, spark_ui: PlayedUi) -> Iterator[Running]:
    """A plain Jupyter server with our extension and stand-in parts."""
    folder = tmp_path_factory.mktemp("server")
    machine = {"key": "m1", "type": "small", "title": "Small", "cores": 2, "memory_bytes": 2**30, "isolation": "none"}
    environment = jupyter_environment(
        folder, ALC_TEST_UI_URL=spark_ui.url, ALC_MACHINE=json.dumps({**machine, "allocation": "allocation-1"})
    )
    stand_in_config(folder)
    running = start_server(folder, environment)
    yield running
    stop_server(running)
