"""One real system, and ada and brahe in it, each on a machine of their own, reached the way a browser reaches it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import requests
import websocket

if TYPE_CHECKING:
    from day.system import System

PATIENCE = 180.0
TOLD = "told-as-json:"


@dataclass
class Someone:
    """A person with cookies, a token of her own, and a kernel on her machine."""

    system: System
    name: str
    session: requests.Session = field(default_factory=requests.Session)
    token: str = ""
    kernel: str = ""

    # -- the Hub -------------------------------------------------------------------------------------------------------

    def log_in(self) -> None:
        self.session.trust_env = False
        self.session.get(f"{self.system.address}/hub/login", timeout=60)
        form = {"username": self.name, "password": self.system.logins[self.name], "_xsrf": self._xsrf()}
        answer = self.session.post(f"{self.system.address}/hub/login", data=form, allow_redirects=False, timeout=60)
        assert answer.status_code == 302, answer.text[:500]
        self.session.get(f"{self.system.address}/hub/home", timeout=60)
        self.token = str(self.hub("POST", f"users/{self.name}/tokens", {"note": "tests"}).json()["token"])

    def _xsrf(self) -> str:
        return next(one.value or "" for one in self.session.cookies if one.name == "_xsrf" and one.path == "/hub/")

    def hub(self, verb: str, path: str, told: Any = None) -> requests.Response:
        """Ask the Hub's API as her page does."""
        headers = {"X-XSRFToken": self._xsrf(), "Referer": f"{self.system.address}/hub/home"}
        url = f"{self.system.address}/hub/api/{path}"
        return self.session.request(verb, url, json=told, headers=headers, timeout=60)

    def start(self) -> None:
        """Ask for a machine with all data."""
        wanted = {"machine_type": "small", "datasets": ["sans-examples", "results"]}
        answer = self.hub("POST", f"users/{self.name}/server", wanted)
        assert answer.status_code in {201, 202}, answer.text

    def wait_until_ready(self) -> None:
        """Return when her server answers, with a kernel of her own in it."""
        until = time.monotonic() + PATIENCE
        while not self.hub("GET", f"users/{self.name}").json()["servers"].get("", {}).get("ready"):
            assert time.monotonic() < until, self.system.allocations(self.name)
            time.sleep(0.3)
        answer = self.mine("POST", "api/kernels", {"name": "python3"})
        assert answer.status_code == 201, answer.text
        self.kernel = str(answer.json()["id"])

    # -- her server ----------------------------------------------------------------------------------------------------

    def mine(self, verb: str, path: str, told: Any = None) -> requests.Response:
        """Ask her own server with her own token."""
        url = f"{self.system.address}/user/{self.name}/{path}"
        return requests.request(verb, url, json=told, headers=self.proof, timeout=120)

    @property
    def proof(self) -> dict[str, str]:
        return {"Authorization": f"token {self.token}"}

    def run(self, code: str, seconds: float = 150) -> str:
        """Run code in her kernel and return all that it printed; raises with the error it ended with."""
        url = f"{self.system.address}/user/{self.name}/api/kernels/{self.kernel}/channels".replace("http", "ws", 1)
        line = websocket.create_connection(url, header=self.proof, timeout=seconds, http_no_proxy=["*"])
        try:
            wanted = uuid.uuid4().hex
            header = {
                "msg_id": wanted,
                "username": "",
                "session": wanted,
                "msg_type": "execute_request",
                "version": "5.3",
            }
            content = {"code": code, "silent": False, "store_history": False, "allow_stdin": False}
            told = {"header": header, "parent_header": {}, "metadata": {}, "content": content, "channel": "shell"}
            line.send(json.dumps(told))
            return _until_idle(line, wanted)
        finally:
            line.close()

    def tells(self, code: str, seconds: float = 150) -> Any:
        """Run code that calls `tell(value)` once, and return that value."""
        said = self.run(f"import json\ndef tell(value): print({TOLD!r} + json.dumps(value))\n{code}", seconds)
        return json.loads(re.findall(rf"^{TOLD}(.*)$", said, re.MULTILINE)[-1])

    # -- what the host knows of her machine ----------------------------------------------------------------------------

    @property
    def allocation(self) -> dict[str, Any]:
        return next(one for one in self.system.allocations(self.name) if one["state"] == "ready")

    @property
    def machine(self) -> dict[str, Any]:
        key = self.allocation["machine"]
        return dict(json.loads((self.system.state / "machines" / key / "machine.json").read_text()))

    def inside(self, words: list[str], uid: int) -> str:
        """Run a program on her machine as another uid, which only the host's root can."""
        enter = ["nsenter", "-t", str(self.machine["pid"]), "-m", "-p", "-n", "-u", "-i"]
        who = ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", "--no-new-privs"]
        done = subprocess.run(
            [*enter, *who, *words], capture_output=True, text=True, timeout=60, check=False, env={"PATH": "/usr/bin"}
        )
        return done.stdout + done.stderr


def _until_idle(line: websocket.WebSocket, wanted: str) -> str:
    said = ""
    while True:
        message = json.loads(line.recv())
        if message.get("parent_header", {}).get("msg_id") != wanted:
            continue
        content = message["content"]
        if message["msg_type"] == "stream":
            said += content["text"]
        elif message["msg_type"] == "error":
            raise AssertionError("\n".join(content["traceback"])[-3000:])
        elif message["msg_type"] == "status" and content["execution_state"] == "idle":
            return said


@dataclass
class TwoPeople:
    """The system with both in it."""

    system: System
    ada: Someone
    brahe: Someone
    _secrets: dict[str, str] = field(default_factory=dict)

    def secrets(self) -> dict[str, str]:
        """Every secret of the system and of brahe that ada must never see, by what it is."""
        if not self._secrets:
            self._secrets = self._found()
        return self._secrets

    def _found(self) -> dict[str, str]:
        state = self.system.state
        accounts = json.loads((state / "archive/accounts.json").read_text())
        found = {f"archive password of {name}": word for name, word in accounts.items()}
        found |= {f"Hub password of {name}": word for name, word in self.system.logins.items()}
        found["secret of Hub and VMM"] = (state / "service/vmm/hub-secret").read_text().strip()
        found["the Hub's cookie secret"] = (state / "service/hub/cookie-secret").read_text().strip()
        found["brahe's token"] = self.brahe.token
        found["brahe's server's token"] = self._server_token(self.brahe)
        for pid in _pids():
            words = _environ(pid)
            for name in ("CONFIGPROXY_AUTH_TOKEN", "JUPYTERHUB_API_TOKEN"):
                if words.get(name) and _uid(pid) == 52000:
                    found[f"{name} of a service"] = words[name]
        return found

    @staticmethod
    def _server_token(who: Someone) -> str:
        return str(who.tells("import os\ntell(os.environ['JUPYTERHUB_API_TOKEN'])"))


def _pids() -> list[int]:
    return [int(one.name) for one in Path("/proc").iterdir() if one.name.isdigit()]


def _uid(pid: int) -> int:
    try:
        return os.stat(f"/proc/{pid}").st_uid  # noqa: PTH116
    except OSError:
        return -1


def _environ(pid: int) -> dict[str, str]:
    try:
        words = Path(f"/proc/{pid}/environ").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return {}
    return dict(word.split("=", 1) for word in words if "=" in word)
