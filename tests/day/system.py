"""The whole system as an operator starts it: `alc up`, and what it leaves behind when it has ended."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from day.archives import DayArchive, Embedded
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
    around: tuple[str, ...] = ()  # words in front of `alc up`, which end by running it
    given: DayArchive | None = None  # another archive than the embedded one
    process: subprocess.Popen[str] | None = None
    logins: dict[str, str] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)

    checkout = CHECKOUT

    def __post_init__(self) -> None:
        self.archive: DayArchive = self.given or Embedded(self.state)

    # -- life ----------------------------------------------------------------------------------------------------------

    def start(self, seconds: float = 180) -> None:
        """Start it and return when the login page answers."""
        self.state.parent.mkdir(parents=True, exist_ok=True)
        words = ["/usr/bin/setpriv", "--pdeathsig", "TERM", "--"]  # nothing outlives a test that is killed
        words += [*self.around, sys.executable, "-P", "-m", "jupyter_alc.cli", "up", "--state", str(self.state)]
        words += ["--port", str(self.port), "--logins", str(self._logins_file), *self.archive.start()]
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
    def results_root(self) -> Path:
        """Where the embedded archive keeps results, on this computer's disk."""
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

        with ThreadPoolExecutor(1) as aside:  # a browser driver may hold this thread's loop
            return aside.submit(lambda: asyncio.run(asked())).result()

    def allocations(self, user: str) -> list[dict[str, Any]]:
        """Every allocation of this person, newest first."""
        return list(self._ask(lambda vmm: vmm.allocations(user)))

    def machine_types(self, user: str) -> list[dict[str, Any]]:
        """What the form offers this person."""
        return list(self._ask(lambda vmm: vmm.machine_types(user)))

    def machines(self) -> list[dict[str, Any]]:
        """Every machine that is not gone."""
        return list(self._ask(lambda vmm: vmm.machines()))


@dataclass
class Traces:
    """What one instance made on this computer, noted while it ran, so that the end can be looked at.

    Another instance may run beside it; only what was seen to be this one's counts.
    """

    state: Path
    machines: dict[str, dict[str, Any]] = field(default_factory=dict)
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def follow(self) -> None:
        """Note every machine the launcher writes down, until `left`."""
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def _follow(self) -> None:
        while not self._stop.wait(0.2):
            for record in self.state.glob("machines/*/machine.json"):
                with suppress(OSError, ValueError):
                    self.machines[record.parent.name] = json.loads(record.read_text())

    def left(self, service_address: str) -> dict[str, list[str]]:
        """Return what is still there of it; empty when nothing is."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        seen = self.machines.values()
        named = [one for one in seen if one["namespace"]]  # without root machines have no network of their own
        mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
        found = {
            "mounts": [one for one in mounts if str(self.state) in one],
            "namespaces": [one["namespace"] for one in named if (Path("/run/netns") / one["namespace"]).exists()],
            "links": [one["host_end"] for one in named if (Path("/sys/class/net") / one["host_end"]).exists()],
            "groups": [group for one in seen for group in one["cgroups"] if Path(group).exists()],
            "addresses": [one for one in _addresses() if one == service_address != "127.0.0.1"],
            "processes": _processes(self.state, [int(one["pid"] or 0) for one in seen]),
        }
        return {name: there for name, there in found.items() if there}


def _addresses() -> list[str]:
    said = subprocess.run(["ip", "-json", "address"], capture_output=True, text=True, check=False).stdout or "[]"
    return [one["local"] for link in json.loads(said) for one in link["addr_info"] if "local" in one]


def _processes(state: Path, pids: list[int]) -> list[str]:
    """Processes that name the state folder, and the machines' own first processes."""
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit() or int(folder.name) == os.getpid():
            continue
        with suppress(OSError):
            words = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            ours = int(folder.name) in pids and ("bwrap" in words or "jupyter_alc" in words)
            if ours or str(state) in words:
                found.append(f"{folder.name} {words[:120]}")
    return found
