"""What every lab shares: its state in one folder, free ports, processes that are stopped by their ids."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

if TYPE_CHECKING:
    from collections.abc import Callable

STATE = "lab.json"
PROCESSES = "processes.json"


class LabError(Exception):
    """The lab cannot come up; says why and where its logs are."""


class Lab(ABC):
    """One server on this machine. `place` holds all it has; `state` is what a client needs to know, kept in there."""

    programs: ClassVar[dict[str, str]] = {}
    """Programs it needs, each with the Debian package that brings it."""

    def __init__(self, place: Path) -> None:
        self.place = place.absolute()

    @abstractmethod
    def start(self) -> dict[str, Any]:
        """Start all of it, wait until it answers, and return what a client needs."""

    @abstractmethod
    def answers(self) -> bool:
        """Ask the server whether it serves."""

    @classmethod
    def lacking(cls) -> str | None:
        """Say why this lab cannot run here; None when it can."""
        missing = sorted({package for program, package in cls.programs.items() if shutil.which(program) is None})
        return f"needs Debian's {', '.join(missing)}" if missing else None

    @property
    def state(self) -> dict[str, Any]:
        """What `start` told; empty when it is not up."""
        file = self.place / STATE
        return json.loads(file.read_text()) if file.exists() else {}

    @property
    def processes(self) -> dict[str, list[int]]:
        """Name to process id and start time, in the order they were started."""
        file = self.place / PROCESSES
        return json.loads(file.read_text()) if file.exists() else {}

    def up(self) -> dict[str, Any]:
        """Start it unless it is up; tried again when a free port was taken by somebody else meanwhile."""
        if why := self.lacking():
            raise LabError(why)
        if self.state and self.answers():
            return self.state
        for last in (False, False, True):
            self.down()
            if self.place.exists() and any(self.place.iterdir()):
                raise LabError(f"{self.place} holds something that is not of a lab; choose another folder")
            self._keep(PROCESSES, {})
            try:
                self._keep(STATE, self.start())
                return self.state
            except BaseException as error:
                logs = self.said()
                self.down()
                if last or not isinstance(error, LabError | subprocess.SubprocessError):
                    raise LabError(f"{type(self).__name__} did not come up ({error}).\n{logs}") from error
        raise AssertionError

    def down(self) -> None:
        """Stop what runs, the last first, and remove the folder; fine when there is nothing."""
        if (self.place / PROCESSES).exists():
            for pid, since in reversed(list(self.processes.values())):
                stop(pid, since)
            shutil.rmtree(self.place, ignore_errors=True)

    def status(self) -> dict[str, Any]:
        """Which processes run, and whether the server answers."""
        alive = {name: alive_since(pid) == since for name, (pid, since) in self.processes.items()}
        return {"answers": bool(self.state) and self.answers(), "processes": alive, **self.state}

    def note_process(self, name: str, pid: int) -> None:
        """Remember a process that was started, to stop it later from anywhere."""
        self._keep(PROCESSES, {**self.processes, name: [pid, alive_since(pid)]})

    def said(self) -> str:
        """The ends of the logs."""
        logs = sorted(self.place.glob("log/*"))
        return "\n".join(f"-- {one.name}\n{one.read_text(errors='replace')[-800:]}" for one in logs)

    def __enter__(self) -> Self:
        self.up()
        return self

    def __exit__(self, *_: object) -> None:
        self.down()

    def _keep(self, name: str, told: dict[str, Any]) -> None:
        self.place.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(self.place / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump(told, file, indent=1)


def free_ports(count: int) -> list[int]:
    """As many ports of 127.0.0.1 as nobody listens on now."""
    with ExitStack() as held:
        probes = [held.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


def wait_until(true: Callable[[], bool], what: str, seconds: float = 120) -> None:
    """Ask until it is so; `LabError` naming `what` when it takes too long."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            raise LabError(f"{what}: not within {seconds:.0f} s")
        time.sleep(0.1)


def alive_since(pid: int) -> int:
    """When the process was started, in ticks since the computer was; 0 when it is gone or a corpse."""
    try:
        words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return 0 if words[0] in "ZX" else int(words[19])


def stop(pid: int, since: int, seconds: float = 15) -> None:
    """End this very process, by asking first."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        deadline = time.monotonic() + seconds
        if alive_since(pid) == since != 0:
            os.kill(pid, number)
        while alive_since(pid) == since != 0 and time.monotonic() < deadline:
            time.sleep(0.05)


def main(lab: type[Lab], about: str | None) -> int:
    """The shell's verbs."""
    options = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("verb", choices=["up", "down", "status"])
    options.add_argument("place", type=Path, metavar="DIR", help="a folder for all it has; removed by down")
    chosen = options.parse_args()
    try:
        one = lab(chosen.place)
        if chosen.verb == "down":
            one.down()
            return 0
        told = one.up() if chosen.verb == "up" else one.status()
    except LabError as error:
        print(error, file=sys.stderr)
        return 1
    print(json.dumps(told, indent=1))
    return 0 if chosen.verb == "up" or told["answers"] else 1
