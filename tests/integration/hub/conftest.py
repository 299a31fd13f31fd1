"""A real Hub with its proxy, and people who click."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from yarl import URL

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

CHECKOUT = Path(__file__).resolve().parents[3]
PATIENCE = 120.0

CATALOGUE = """
datasets:
  - id: sans-examples
    title: SANS <b>examples</b>
    adapter: webdav
    url: http://127.0.0.1:1/sans
    where: WebDAV archive
    size_bytes: 37000000
  - id: results
    title: My results
    adapter: webdav
    url: http://127.0.0.1:1/results/{user}
    where: WebDAV archive
    writers: ["*"]
  - id: brahes-own
    title: Brahe's own
    adapter: webdav
    url: http://127.0.0.1:1/brahe
    readers: [brahe]
"""


def free_ports(count: int) -> list[int]:
    held = [socket.socket() for _ in range(count)]
    for one in held:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in held]
    for one in held:
        one.close()
    return ports


@dataclass
class Hub:
    """The Hub's process, which can be killed and started again on the same state."""

    folder: Path
    ports: list[int]
    process: subprocess.Popen[bytes] | None = None
    more: dict[str, str] = field(default_factory=dict)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.ports[0]}"

    @property
    def state(self) -> Path:
        return self.folder / "state"

    def environment(self) -> dict[str, str]:
        names = ("ALC_PORT", "ALC_PROXY_API_PORT", "ALC_HUB_PORT", "ALC_VMM_PORT")
        return {
            **{key: os.environ[key] for key in ("PATH", "LANG") if key in os.environ},
            **{name: str(port) for name, port in zip(names, self.ports, strict=True)},
            "HOME": str(self.folder),
            "PYTHONPATH": os.pathsep.join(
                [str(CHECKOUT), str(CHECKOUT / "spawners"), os.environ.get("PYTHONPATH", "")]
            ),
            "CHECKOUT": str(CHECKOUT),
            "ALC_STATE": str(self.state),
            "ALC_RUN": str(self.folder / "run"),
            "ALC_CATALOGUE": str(self.folder / "catalogue.yaml"),
            "ALC_PEOPLE": "ada brahe",
            **self.more,
        }

    def start(self) -> None:
        config = str(Path(__file__).with_name("hub_config.py"))
        with (self.folder / "hub.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "jupyterhub", "-f", config],
                env=self.environment(),
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    async def wait(self) -> None:
        """Wait until the Hub answers through its proxy."""
        until = time.monotonic() + PATIENCE
        async with aiohttp.ClientSession() as session:
            while time.monotonic() < until:
                assert self.process is not None
                assert self.process.poll() is None, (self.folder / "hub.log").read_text()[-3000:]
                try:
                    async with session.get(f"{self.address}/hub/health") as answer:
                        if answer.status == 200:
                            return
                except aiohttp.ClientError:
                    pass
                await asyncio.sleep(0.2)
        raise AssertionError((self.folder / "hub.log").read_text()[-3000:])

    def kill(self) -> None:
        """End the Hub as a crash would: nothing of it can tidy up."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(timeout=30)

    def end(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                self.kill()
        for left in (self.folder / "run/hub").glob("proxy.pid"):
            _end_pid(int(left.read_text()))
        for row in (self.state / "vmm").glob("alloc-*.json"):
            told = json.loads(row.read_text())
            if told["pid"]:
                _end_pid(told["pid"])

    def rows(self) -> list[dict[str, Any]]:
        return [json.loads(path.read_text()) for path in (self.state / "vmm").glob("alloc-*.json")]

    def asked(self, row: dict[str, Any]) -> dict[str, Any]:
        return json.loads((self.state / "vmm" / f"{row['id']}.asked").read_text())


def _end_pid(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


@dataclass
class Visitor:
    """Somebody with a browser's cookies and no script."""

    session: aiohttp.ClientSession
    address: str
    name: str

    async def get(self, path: str, **more: Any) -> tuple[int, str]:
        async with self.session.get(self.address + path, **more) as answer:
            return answer.status, await answer.text()

    def xsrf(self) -> str:
        cookies = self.session.cookie_jar.filter_cookies(URL(self.address + "/hub/"))
        return cookies["_xsrf"].value

    async def log_in(self, password: str) -> bool:
        await self.get("/hub/login")
        form = {"username": self.name, "password": password, "_xsrf": self.xsrf()}
        async with self.session.post(f"{self.address}/hub/login", data=form, allow_redirects=False) as answer:
            return answer.status == 302

    async def submit(self, path: str = "/hub/spawn", **fields: Any) -> tuple[int, str]:
        """Send the form and stay on the first answer."""
        await self.get(path)
        form = aiohttp.FormData()
        for key, value in fields.items():
            for one in value if isinstance(value, list) else [value]:
                form.add_field(key, one)
        url = f"{self.address}{path}?_xsrf={self.xsrf()}"
        async with self.session.post(url, data=form, allow_redirects=False) as answer:
            return answer.status, await answer.text()

    async def api(self, method: str, path: str, **more: Any) -> tuple[int, Any]:
        headers = {"X-XSRFToken": self.xsrf(), "Referer": f"{self.address}/hub/home"}
        url = f"{self.address}/hub/api{path}"
        async with self.session.request(method, url, headers=headers, **more) as answer:
            text = await answer.text()
            return answer.status, json.loads(text) if text else None

    async def events(self, server: str = "server") -> list[dict[str, Any]]:
        """All events of a start until its end, as a browser tab gets them."""
        page, _ = await self.get("/hub/home")
        assert page == 200
        url = f"{self.address}/hub/api/users/{self.name}/{server}/progress?_xsrf={self.xsrf()}"
        told = []
        async with self.session.get(url, headers={"Referer": f"{self.address}/hub/home"}) as answer:
            assert answer.status == 200, await answer.text()
            async for line in answer.content:
                if line.startswith(b"data: "):
                    told.append(json.loads(line[6:]))
                    if told[-1].get("ready") or told[-1].get("failed"):
                        break
        return told

    async def until_ready(self, server: str = "") -> dict[str, Any]:
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            _, user = await self.api("GET", f"/users/{self.name}")
            found = user["servers"].get(server)
            if found and found["ready"]:
                return found
            await asyncio.sleep(0.2)
        raise AssertionError("not ready in time")

    async def until_gone(self, server: str = "") -> None:
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            _, user = await self.api("GET", f"/users/{self.name}")
            if server not in user["servers"]:
                return
            await asyncio.sleep(0.2)
        raise AssertionError("still there")


def words(page: str) -> str:
    """The text of a page, its tags taken away."""
    return re.sub(r"\s+", " ", re.sub(r"<(script|style)[\s\S]*?</\1>|<[^>]+>", " ", page))


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """One Hub for the tests of a module."""
    folder = tmp_path_factory.mktemp("hub")
    (folder / "catalogue.yaml").write_text(CATALOGUE)
    (folder / "run").mkdir()
    one = Hub(folder, free_ports(4))
    one.start()
    try:
        asyncio.run(one.wait())
        yield one
    finally:
        one.end()


@pytest.fixture(scope="module")
def passwords(hub: Hub) -> dict[str, str]:
    return json.loads((hub.state / "hub/logins-once.json").read_text())


@pytest.fixture
async def visitor(hub: Hub) -> AsyncIterator[Any]:
    """Make people who are not logged in yet."""
    opened: list[aiohttp.ClientSession] = []

    def sit_down(name: str) -> Visitor:
        jar = aiohttp.CookieJar(unsafe=True, quote_cookie=False)
        opened.append(aiohttp.ClientSession(cookie_jar=jar, timeout=aiohttp.ClientTimeout(total=PATIENCE)))
        return Visitor(opened[-1], hub.address, name)

    yield sit_down
    for one in opened:
        await one.close()


@pytest.fixture
async def ada(visitor: Any, passwords: dict[str, str]) -> Visitor:
    one = visitor("ada")
    assert await one.log_in(passwords["ada"])
    return one
