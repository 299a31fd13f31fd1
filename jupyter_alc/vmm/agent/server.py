"""The person's Jupyter server: forked from the warm parent, watched, ended with everything it started."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import aiohttp

from jupyter_alc.core.errors import AlcError, TooLate, Unavailable
from jupyter_alc.core.full_disk import disk_is_full
from jupyter_alc.vmm.clouds.processes import ProcessId, with_environment

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jupyter_alc.vmm.agent.machine import Machine
    from jupyter_alc.vmm.agent.orders import Claim

LOG: Final = logging.getLogger(__name__)
_WARM_SECONDS: Final = 180.0
_TRY_SECONDS: Final = 2.0
_LONGEST_LINE: Final = 1 << 20
ALLOCATION: Final = "ALC_ALLOCATION"
_LEAST_ROOM: Final = 64 * 1024  # bytes: with less the disk is full
LOG_FILE: Final = ".local/state/jupyter-alc/server.log"


@dataclass(slots=True)
class WarmParent:
    """The agent's side of the warm parent. It is started again when it dies; a forked server does not die with it."""

    _reader: asyncio.StreamReader | None = None
    _writer: asyncio.StreamWriter | None = None
    _process: asyncio.subprocess.Process | None = None
    _watch: asyncio.Task[None] | None = None
    _pids: asyncio.Queue[int] = field(default_factory=asyncio.Queue)
    _ended: dict[int, asyncio.Future[int]] = field(default_factory=dict)

    async def start(self) -> float:
        """Start it and wait until it is warm; returns the seconds that took. Raises `TooLate`, `Unavailable`."""
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", "-m", "jupyter_alc.vmm.agent.warm", str(theirs.fileno())),
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                cwd="/",
            )
        self._reader, self._writer = await asyncio.open_connection(sock=ours, limit=_LONGEST_LINE)
        try:
            line = await asyncio.wait_for(self._reader.readline(), _WARM_SECONDS)
            told = json.loads(line)
        except TimeoutError as error:
            raise TooLate("The warm server did not get ready.", next_step="End this machine.") from error
        except ValueError as error:
            raise Unavailable("The warm server could not start.", next_step="Look at the machine's log.") from error
        if told["missing"]:
            LOG.info("not there to be warmed: %s", ", ".join(told["missing"]))
        self._watch = asyncio.create_task(self._listen(self._reader))
        return float(told["seconds"])

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        while line := await reader.readline():
            told = json.loads(line)
            if "pid" in told:
                self._ended[told["pid"]] = asyncio.get_running_loop().create_future()
                self._pids.put_nowait(told["pid"])
            elif told.get("ended") in self._ended:
                self._ended[told["ended"]].set_result(int(told["status"]))

    async def fork(self, told: Mapping[str, Any]) -> tuple[int, asyncio.Future[int]]:
        """Fork a server; returns its pid and a future of its exit code. Warms up anew if the parent has died."""
        if self._watch is None or self._watch.done():
            await self.start()
        assert self._writer
        self._writer.write(json.dumps({"fork": told}).encode() + b"\n")
        await self._writer.drain()
        pid = await asyncio.wait_for(self._pids.get(), 30)
        return pid, self._ended[pid]

    async def stop(self) -> None:
        """Hang up; the parent ends by that."""
        if self._writer:
            self._writer.close()
        if self._process and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()
        if self._watch:
            self._watch.cancel()


@dataclass(slots=True)
class Server:
    """The one server of a claim."""

    machine: Machine
    claim: Claim
    parent: WarmParent
    process: ProcessId | None = None
    url: str = ""

    @property
    def running(self) -> bool:
        """Say whether its process is there."""
        return self.process is not None and self.process.alive()

    async def start(self) -> str:
        """Start it and wait until it answers; returns its URL. Raises AlcError, and nothing is left then."""
        if self.running and self.url:
            return self.url
        address, port = self.machine.address, self.claim.port or _free_port(self.machine.address)
        origin = f"http://{address}:{port}"
        told = {
            "name": self.claim.person.name,
            "uid": self.claim.person.uid,
            "gid": self.claim.person.gid,
            "home": str(self.claim.home),
            "log": str(self.claim.home / LOG_FILE),
            "environment": self._environment(origin),
            "args": list(self.claim.args),
        }
        pid, ended = await self.parent.fork(told)
        self.process = ProcessId.of(pid)
        try:
            await self._answering(origin, ended)
        except AlcError:
            await self.stop()
            raise
        self.url = origin
        return origin

    async def _answering(self, origin: str, ended: asyncio.Future[int]) -> None:
        probe = asyncio.create_task(self._answers(origin))
        waited: set[asyncio.Future[Any]] = {probe, ended}
        await asyncio.wait(waited, timeout=self.claim.deadline("server"), return_when="FIRST_COMPLETED")
        answered = probe.done()
        probe.cancel()
        if ended.done() or not self.running:
            raise _why_it_ended(self.claim.home)
        if not answered:
            raise TooLate("Your Jupyter server did not answer in time.", next_step="Start it again.")

    def _environment(self, origin: str) -> dict[str, str]:
        who, runtime = self.claim.person, self.machine.runtime_of(self.claim.person.name)
        given = dict(self.claim.environment)
        prefix = given.get("JUPYTERHUB_SERVICE_PREFIX", "/")
        kept = {name: os.environ[name] for name in ("PYTHONPATH", "ALC_MACHINE_KEY") if name in os.environ}
        usual = {
            "ALC_VMM_URL": self.machine.vmm_url,
            "ALC_MACHINE": json.dumps({**self.machine.facts, "allocation": self.claim.allocation}),
            "JUPYTERHUB_DEFAULT_URL": "/lab",
        }
        return {
            **usual,
            **given,
            **kept,
            **_java(),
            "HOME": str(self.claim.home),
            "USER": who.name,
            "LOGNAME": who.name,
            "SHELL": "/bin/bash",
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "XDG_RUNTIME_DIR": str(runtime),
            "JUPYTER_RUNTIME_DIR": str(runtime / "jupyter"),
            "JUPYTERHUB_ROOT_DIR": str(self.claim.home),
            "JUPYTERHUB_SERVICE_URL": f"{origin}{prefix}",
            "ALC_DMS_SOCKET": str(self.machine.dms_socket),
            ALLOCATION: self.claim.allocation,
        }

    async def _answers(self, origin: str) -> None:
        url = f"{origin}{self.claim.environment.get('JUPYTERHUB_SERVICE_PREFIX', '/')}api"
        limit = aiohttp.ClientTimeout(total=_TRY_SECONDS)
        async with aiohttp.ClientSession(timeout=limit) as session:
            while True:
                with contextlib.suppress(aiohttp.ClientError, TimeoutError, OSError):
                    async with session.get(url, allow_redirects=False) as answer:
                        if answer.status == 200:
                            return
                await asyncio.sleep(0.05)

    async def stop(self, patience_seconds: float = 8.0) -> None:
        """End the server and everything the person started: first asked, then not."""
        until = time.monotonic() + patience_seconds
        if self.process:
            self.process.kill(signal.SIGTERM)
        if self.process:
            await asyncio.to_thread(self.process.wait_gone, until - time.monotonic())
        for number, seconds in ((signal.SIGTERM, 4.0), (signal.SIGKILL, 10.0)):
            if await asyncio.to_thread(self._end_all, number, seconds):
                break
        self.url = ""

    def _end_all(self, number: int, seconds: float) -> bool:
        until = time.monotonic() + seconds
        while left := self._persons_processes():
            if time.monotonic() > until:
                return False
            if number == signal.SIGKILL and self.machine.isolated:
                with contextlib.suppress(OSError):
                    _kill_all_of(self.claim.person.uid)
            for process in left:
                process.kill(number)
            time.sleep(0.05)
        return True

    def _persons_processes(self) -> list[ProcessId]:
        if self.machine.isolated:
            return _of_uid(self.claim.person.uid)
        found = with_environment(f"{ALLOCATION}={self.claim.allocation}")
        return [*found, *([self.process] if self.process and self.process.alive() else [])]


def _kill_all_of(uid: int) -> None:
    """Kill all of a person's processes in one call to the kernel: one by one they could start anew faster.

    A fork that becomes hers does it. It runs no other program, so the kernel lets her look at it no more than before:
    whoever could take it over would have a process without our seal.
    """
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
            os.kill(-1, signal.SIGKILL)
        finally:
            os._exit(0)
    os.waitpid(child, 0)


def _of_uid(uid: int) -> list[ProcessId]:
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError, StopIteration):
                lines = (folder / "status").read_text().splitlines()
                real = next(line for line in lines if line.startswith("Uid:")).split()[1]
                process = ProcessId.of(int(folder.name)) if int(real) == uid else None
                found += [process] if process else []
    return found


def _why_it_ended(home: Path) -> AlcError:
    disk = os.statvfs(home)
    if disk.f_bavail * disk.f_frsize < _LEAST_ROOM:  # its log could not say so
        return disk_is_full("your home")
    return Unavailable("Your Jupyter server ended at once.", next_step=f"Look at ~/{LOG_FILE} on the machine.")


def _free_port(address: str) -> int:
    with socket.create_server((address, 0)) as probe:
        return int(probe.getsockname()[1])


def _java() -> dict[str, str]:
    homes = sorted(Path("/usr/lib/jvm").glob("java-*-openjdk-*"))
    return {"JAVA_HOME": str(homes[-1])} if homes else {}


def has_java() -> bool:
    """Say whether there is a Java for Spark, where Piezo looks for one."""
    return shutil.which("java") is not None or any(Path("/usr/lib/jvm").glob("*/bin/java"))
