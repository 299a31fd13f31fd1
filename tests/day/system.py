"""The whole system as an operator starts it: `alc up`, and what it leaves behind when it has ended."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from day.archive_log import ArchiveLog
from day.report import require
from jupyter_alc.vmm.client import HubClient

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

CHECKOUT = Path(__file__).resolve().parents[2]


@dataclass
class System:
    """One instance on a state folder of its own; `told` gets each line that `alc up` says."""

    state: Path
    told: Callable[[str], None] = lambda line: None
    port: int = 8000
    process: subprocess.Popen[str] | None = None
    logins: dict[str, str] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)

    checkout = CHECKOUT

    # -- life ----------------------------------------------------------------------------------------------------------

    def start(self, seconds: float = 180) -> None:
        """Start it and return when the login page answers."""
        self.state.parent.mkdir(parents=True, exist_ok=True)
        words = [sys.executable, "-P", "-m", "jupyter_alc.cli", "up", "--state", str(self.state)]
        words += ["--port", str(self.port), "--logins", str(self._logins_file)]
        log = self.state.parent / f"{self.state.name}.log"
        with log.open("w") as output:
            self.process = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                text=True,
                cwd="/",
                start_new_session=True,
            )
        until = time.monotonic() + seconds
        while "jupyter-alc is up:" not in log.read_text():
            require(self.process.poll() is None, f"alc up ended: {log.read_text()[-2000:]}")
            require(time.monotonic() < until, f"alc up did not come up: {log.read_text()[-2000:]}")
            time.sleep(0.1)
        self.facts = json.loads((self.state / "up.json").read_text())
        self.logins = json.loads(self._logins_file.read_text())

    def stop(self, seconds: float = 200) -> None:
        """End it as Ctrl-C does, and wait."""
        if self.process is None or self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGINT)
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise
        require(code == 0, f"alc up ended with {code}")

    @property
    def _logins_file(self) -> Path:
        return self.state.parent / f"{self.state.name}-logins.json"

    # -- where things are ----------------------------------------------------------------------------------------------

    @property
    def address(self) -> str:
        return str(self.facts["address"])

    @property
    def service_address(self) -> str:
        return str(self.facts["service_address"])

    @property
    def private_ports(self) -> list[int]:
        """Ports that no machine may reach: the public proxy's and its API's."""
        return [int(self.facts["port"]), int(self.facts["ports"]["PROXY_API_PORT"])]

    @property
    def vmm_url(self) -> str:
        return f"http://{self.service_address}:{self.facts['ports']['VMM_PORT']}/services/vmm"

    @property
    def archive_url(self) -> str:
        return f"http://{self.service_address}:{self.facts['ports']['ARCHIVE_PORT']}"

    @property
    def archive(self) -> ArchiveLog:
        return ArchiveLog(self.state / "archive/requests.log")

    @property
    def results_root(self) -> Path:
        return self.state / "archive/results"

    @property
    def isolates(self) -> bool:
        """Say whether machines keep people apart here."""
        return os.geteuid() == 0

    # -- what VMM says -------------------------------------------------------------------------------------------------

    def _ask(self, question: Callable[[HubClient], Awaitable[Any]]) -> Any:
        async def asked() -> Any:
            client = HubClient(self.vmm_url, (self.state / "service/vmm/hub-secret").read_text().strip())
            try:
                return await question(client)
            finally:
                await client.close()

        return asyncio.run(asked())

    def allocations(self, user: str) -> list[dict[str, Any]]:
        """Every allocation of this person, newest first."""
        return list(self._ask(lambda vmm: vmm.allocations(user)))

    def machines(self) -> list[dict[str, Any]]:
        """Every machine that is not gone."""
        return list(self._ask(lambda vmm: vmm.machines()))


@dataclass(frozen=True)
class Traces:
    """What an instance could leave on the computer."""

    mounts: frozenset[str]
    namespaces: frozenset[str]
    links: frozenset[str]
    addresses: frozenset[str]
    processes: frozenset[str]
    groups: frozenset[str]

    @classmethod
    def now(cls, state: Path) -> Traces:
        """Look at the computer; `state` tells this instance's processes from others'."""
        return cls(
            mounts=frozenset(line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()),
            namespaces=frozenset(_names(Path("/run/netns"))),
            links=frozenset(_names(Path("/sys/class/net"))),
            addresses=frozenset(_addresses()),
            processes=frozenset(_processes(state)),
            groups=frozenset(_groups()),
        )

    def left_since(self, before: Traces) -> dict[str, list[str]]:
        """Return what is here and was not before."""
        mine, theirs = vars(self), vars(before)
        return {name: sorted(mine[name] - theirs[name]) for name in mine if mine[name] - theirs[name]}


def _names(folder: Path) -> list[str]:
    return [one.name for one in folder.iterdir()] if folder.is_dir() else []


def _addresses() -> list[str]:
    said = subprocess.run(["ip", "-json", "address"], capture_output=True, text=True, check=False).stdout or "[]"
    return [one["local"] for link in json.loads(said) for one in link["addr_info"] if "local" in one]


def _processes(state: Path) -> list[str]:
    """Processes of an instance: in its state folder's name, or run from the environment as it looks inside."""
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit() or int(folder.name) == os.getpid():
            continue
        with suppress(OSError):
            words = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if str(state) in words or "/opt/alc/env" in words or "jupyter_alc." in words:
                found.append(f"{folder.name} {words[:120]}")
    return found


def _groups() -> list[str]:
    top = Path("/sys/fs/cgroup")
    return [str(one) for depth in ("alc*", "*/alc*", "*/*/alc*") for one in top.glob(depth)]
