"""One real system for tests that break it: find a program of it by its words, kill it, and see who still works."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import signal
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import requests
from websocket import WebSocketException

from day.system import System, Traces
from integration.system_isolation.two_people import Someone
from jupyter_alc.core.errors import AlcError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PATIENCE = 150.0


def until(seen: Callable[[], Any], what: str, seconds: float = PATIENCE) -> Any:
    """Ask until the answer is true and return it; a service that is away meanwhile is asked again."""
    late = time.monotonic() + seconds
    last: object = None
    while time.monotonic() < late:
        try:
            if last := seen():
                return last
        except (
            AlcError,
            requests.RequestException,
            WebSocketException,
            OSError,
            LookupError,
            ValueError,
            StopIteration,
        ) as error:
            last = error
        time.sleep(0.2)
    message = f"{what} (last: {last!r})"
    raise AssertionError(message)


def programs(root: int) -> Iterator[tuple[int, str]]:
    """Every process below `root` with its words, the nearest first."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
                parents.setdefault(parent, []).append(int(entry.name))
    look = [root]
    while look:
        pid = look.pop(0)
        look += sorted(parents.get(pid, []))
        with contextlib.suppress(OSError):
            yield pid, Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")


def lives(pid: int) -> bool:
    """Say whether the process runs; a dead one that waits to be collected does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def kill(pid: int) -> None:
    """Kill -9, and wait until it is dead."""
    os.kill(pid, signal.SIGKILL)
    until(lambda: not lives(pid), f"{pid} is still there", 30)


class Person(Someone):
    """Somebody whose Hub may be away for a moment."""

    def serves(self) -> bool:
        """Say whether the Hub says that her server is ready."""
        return bool(self.hub("GET", f"users/{self.name}").json()["servers"].get("", {}).get("ready"))

    def has_no_server(self) -> bool:
        """Say whether the Hub would show her the form."""
        return not self.hub("GET", f"users/{self.name}").json()["servers"]

    def wait_for_server(self) -> None:
        """Return when her server answers through the proxy."""
        until(self.serves, f"the Hub has no server of {self.name}")
        until(lambda: self.mine("GET", "api/status").status_code == 200, f"the server of {self.name} does not answer")

    def wait_for_form(self) -> str:
        """Return the form's page, which she gets once the Hub has noticed that her server is no more."""
        until(self.has_no_server, f"the Hub still has a server of {self.name}")
        page = self.session.get(f"{self.system.address}/hub/spawn", timeout=60).text
        assert 'name="machine_type"' in page, page[:2000]
        return page

    def begin(self) -> None:
        """Start a server and a kernel in it."""
        until(self.has_no_server, f"the server of {self.name} has not ended")
        self.start()
        self.wait_for_server()
        self.new_kernel()

    def new_kernel(self) -> None:
        """Start a kernel that remembers a word."""
        answer = self.mine("POST", "api/kernels", {"name": "python3"})
        assert answer.status_code == 201, answer.text
        self.kernel = str(answer.json()["id"])
        self.run("remembered = 'all the while'")

    def remembers(self) -> bool:
        """Say whether it is still the same kernel."""
        return bool(self.tells("tell('remembered' in globals())", 10))

    def write(self, name: str) -> str:
        """Write a new file to her results through the mount and return its checksum."""
        body = f"data = b{name!r} * 20_000\npath = pathlib.Path.home() / 'data/results' / {name!r}"
        code = f"import hashlib, os, pathlib\n{body}\npath.write_bytes(data)\ntell(hashlib.sha256(data).hexdigest())"
        return str(self.tells(code))

    def program(self, words: str) -> int:
        """The first process on her machine, run as her or for her, whose words hold `words`."""
        mine = [pid for pid, said in programs(self.machine["pid"]) if words in said and not said.startswith("bwrap")]
        return mine[0]

    @property
    def server_pid(self) -> int:
        """Her Jupyter server: the forked child of the warm parent, with her uid."""
        owned = [
            pid
            for pid, said in programs(self.machine["pid"])
            if "agent.warm" in said and Path(f"/proc/{pid}").stat().st_uid != 0
        ]
        return owned[0]


@dataclass
class World:
    """The system, what it makes on this computer, and two people."""

    system: System
    traces: Traces
    ada: Person
    brahe: Person

    def said(self) -> str:
        """All that `alc up` has said since it was started last."""
        return (self.system.state.parent / f"{self.system.state.name}.log").read_text()

    def program(self, words: str) -> int:
        """A program of the system by its words; not the first process of its sandbox."""
        assert self.system.process is not None
        return next(
            pid
            for pid, said in programs(self.system.process.pid)
            if words in said and not said.startswith(("bwrap", "/usr/bin/setpriv")) and pid != self.system.process.pid
        )

    @contextlib.contextmanager
    def silent_archive(self) -> Iterator[None]:
        """The archive takes connections and answers nothing."""
        pid = self.program("example.archive")
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    def wait_for_result(self, person: str, name: str, checksum: str) -> None:
        """Return when the archive holds this very file."""
        path = self.system.results_root / person / name
        until(
            lambda: path.exists() and hashlib.sha256(path.read_bytes()).hexdigest() == checksum,
            f"{name} of {person} did not reach the archive: {sorted(one.name for one in path.parent.iterdir())}",
        )

    def check_owners(self) -> None:
        """Nobody ever got a machine that somebody had before."""
        held: dict[str, list[str]] = {}
        for person in ("ada", "brahe"):
            for allocation in self.system.allocations(person):
                if allocation["machine"]:
                    held.setdefault(allocation["machine"], []).append(f"{person}: {allocation['id']}")
        assert all(len(claims) == 1 for claims in held.values()), held


@contextlib.contextmanager
def a_world(port: int, around: tuple[str, ...] = ()) -> Iterator[World]:
    """A real system with both people logged in; `around` are words in front of `alc up`. At the end nothing is left."""
    folder = Path(tempfile.mkdtemp(prefix="alck-", dir="/tmp"))
    folder.chmod(0o755)
    system = System(folder / "s", port=port, around=around)
    traces = Traces(system.state)
    try:
        system.start()
        traces.follow()
        ada, brahe = Person(system, "ada"), Person(system, "brahe")
        for person in (ada, brahe):
            person.log_in()
        yield World(system, traces, ada, brahe)
    finally:
        system.stop()
        left = traces.left(system.service_address) if system.facts else {}
        shutil.rmtree(folder)
    assert left == {}, "whichever tests were chosen, nothing is left"
