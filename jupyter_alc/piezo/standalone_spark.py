"""The programs of one standalone Spark cluster, started, looked at and ended. Decides nothing about its state."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import jupyter_alc
from jupyter_alc.core.errors import AlcError, Unavailable
from jupyter_alc.piezo import observe, processes, sockets
from jupyter_alc.piezo.options import ClusterOptions
from jupyter_alc.piezo.plan import INHERITED, MARK, Ground, Ports, Secrets, standalone_spark
from jupyter_alc.piezo.reasons import port_was_taken, waiting_words, why_it_ended
from jupyter_alc.piezo.record import Connection, no_room

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from jupyter_alc.piezo.plan import ClusterPlan, ProcessPlan, Software
    from jupyter_alc.piezo.record import ClusterRecord

_LOOK_SECONDS: Final = 0.2
_TERM_SECONDS: Final = 10.0
_WORKER_RESTARTS: Final = 3
_LEAST_ROOM: Final = 64 * 1024  # bytes: with less the disk is full


class PortTaken(Exception):
    """A program ended because its port was another's; `why` is for the user if it happens too often."""

    def __init__(self, why: AlcError) -> None:
        super().__init__(str(why))
        self.why = why


class StandaloneSpark:
    """One attempt at the cluster of `record`: ports of its own, programs that are our children and end with us."""

    def __init__(self, folder: Path, record: ClusterRecord, software: Software, environment: Mapping[str, str]) -> None:
        self.ports = Ports(*sockets.free_ports(4))
        self._folder = folder
        self._record = record
        self._software = software
        self._environment = environment
        self._running: dict[str, asyncio.subprocess.Process] = {}
        self._plans: dict[str, ProcessPlan] = {}
        self._restarts = 0
        self._forward: asyncio.Server | None = None
        self._probe: asyncio.subprocess.Process | None = None

    async def start(self, token: str, waiting: Callable[[str], None]) -> None:
        """Start everything and return when an executor answered a query; tells `waiting` the reason meanwhile.

        Raises `PortTaken`, or what explains the end of a program.
        """
        made = Secrets(rpc=secrets.token_hex(32), token=token)
        ground = Ground(self.ports, made, self._software, self._environment)
        plan = standalone_spark(self._folder, ClusterOptions.from_json(self._record.options), ground)
        _write(plan)
        waiting(waiting_words(master=False, workers=0, wanted=len(plan.workers), connect=False))
        await self._run(plan.master)
        await self._run(plan.connect)  # its own start takes longer than the master's, so it finds it there
        await self._until_listening("master", self.ports.master)
        for worker in plan.workers:
            await self._run(worker)
        await self._until_up(len(plan.workers), waiting)
        await self._open_ipv6()
        await self._until_answered(token)

    async def look(self) -> AlcError | None:
        """Start workers that died again; return why the cluster is over if master or driver died, else None."""
        for role, process in list(self._running.items()):
            if process.returncode is None:
                continue
            if role.startswith("worker") and self._restarts < _WORKER_RESTARTS:
                self._restarts += 1
                await self._run(self._plans[role])
            else:
                return self._why(role)
        return None

    async def busy(self) -> bool:
        """Whether a client is connected while a job runs."""
        process = self._running.get("connect")
        if process is None or not sockets.has_client(process.pid, self.ports.connect):
            return False
        return bool(await observe.running_jobs(self.ports.ui))

    def connection(self, token: str) -> Connection:
        """The addresses; the client sends a token without TLS to the name `localhost` only."""
        return Connection(f"sc://localhost:{self.ports.connect}/;token={token}", f"http://127.0.0.1:{self.ports.ui}")

    async def end(self) -> None:
        """End the programs: SIGTERM, driver first, SIGKILL for what is left after 10 s. May be called again."""
        if self._forward is not None:
            self._forward.close()
            self._forward = None
        driver = {"connect"} & self._running.keys()
        await self._end_these([self._running[role] for role in driver])
        await self._end_these(list(self._running.values()) + ([self._probe] if self._probe else []))
        self._running.clear()
        self._probe = None

    async def _end_these(self, those: list[asyncio.subprocess.Process]) -> None:
        for number, seconds in ((signal.SIGTERM, _TERM_SECONDS), (signal.SIGKILL, _TERM_SECONDS)):
            living = [process for process in those if process.returncode is None]
            for process in living:
                with contextlib.suppress(ProcessLookupError):
                    process.send_signal(number)
            if living:
                await asyncio.wait([asyncio.create_task(process.wait()) for process in living], timeout=seconds)
        if any(process.returncode is None for process in those):
            raise Unavailable("A program of the cluster does not end.", next_step="It is tried again by itself.")

    async def _run(self, process: ProcessPlan) -> None:
        self._plans[process.role] = process
        self._running[process.role] = await processes.start(process)

    def _why(self, role: str) -> AlcError:
        log = self._plans[role].log
        disk = os.statvfs(self._folder)
        if disk.f_bavail * disk.f_frsize < _LEAST_ROOM:  # its log could not say so
            return no_room(self._folder.parent)
        return why_it_ended(role, self._running[role].returncode, processes.tail(log), log)

    def _check(self) -> None:
        """Raise why, if a program of this attempt has ended."""
        for role, process in self._running.items():
            if process.returncode is not None:
                why = self._why(role)
                raise PortTaken(why) if port_was_taken(processes.tail(self._plans[role].log)) else why

    async def _until_listening(self, role: str, port: int) -> None:
        while not sockets.listens(self._running[role].pid, port):
            self._check()
            await asyncio.sleep(_LOOK_SECONDS)

    async def _until_up(self, wanted: int, waiting: Callable[[str], None]) -> None:
        while True:
            self._check()
            workers = await observe.alive_workers(self.ports.master_ui) or 0
            connect = sockets.listens(self._running["connect"].pid, self.ports.connect)
            waiting(waiting_words(master=True, workers=workers, wanted=wanted, connect=connect))
            if workers >= wanted and connect:
                return
            await asyncio.sleep(_LOOK_SECONDS)

    async def _open_ipv6(self) -> None:
        """Answer on ::1 too, where `localhost` may lead: nobody else shall sit there and be sent the token."""
        if not sockets.has_ipv6_loopback():
            return
        try:
            self._forward = await asyncio.start_server(self._pass_on, host="::1", port=self.ports.connect)
        except OSError as error:
            taken = Unavailable(
                "The Connect server's port was taken by another program, several times.",
                next_step="Start a cluster again.",
            )
            raise PortTaken(taken) from error

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there = await asyncio.open_connection("127.0.0.1", self.ports.connect)
        except OSError:
            writer.close()
            return
        await asyncio.gather(_pump(reader, there[1]), _pump(there[0], writer))

    async def _until_answered(self, token: str) -> None:
        """Run the framework's probe until it says that an executor answered; it then warms Python up by itself."""
        self._probe = await processes.start_talking(
            (sys.executable, "-m", "jupyter_alc.piezo.frameworks.spark"),
            {
                **{name: self._environment[name] for name in INHERITED if name in self._environment},
                MARK: str(self._folder),
                "PYTHONPATH": str(Path(jupyter_alc.__file__).parents[1]),
            },
            self._folder,
            self._folder / "logs/probe.log",
        )
        assert self._probe.stdin is not None
        assert self._probe.stdout is not None
        tasks = int(self._record.cores)
        self._probe.stdin.write(f"{self.connection(token).connect_url}\n{tasks}\n".encode())
        self._probe.stdin.close()
        answer = asyncio.create_task(self._probe.stdout.readline())
        try:
            while not answer.done():
                self._check()
                await asyncio.wait({answer}, timeout=_LOOK_SECONDS)
        finally:
            answer.cancel()
        if answer.result() != b"answered\n":
            raise Unavailable(
                "The Connect server is up but did not answer a query.",
                next_step=f"Start a cluster again. What it said is in {self._folder}/logs/probe.log.",
            )


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while block := await reader.read(65536):
            writer.write(block)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


def _write(plan: ClusterPlan) -> None:
    for folder in plan.folders:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for path, text in plan.files.items():
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(text)
