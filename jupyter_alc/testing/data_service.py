"""A real data service for tests: the daemon as a process, with its mount, ended by its id whatever happens."""

from __future__ import annotations

import asyncio
import json
import os
import select
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from jupyter_alc.dms.client import DmsClient

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from jupyter_alc.core.dataset import MountedDataset

T = TypeVar("T")

SECONDS: Final = 60.0


@dataclass
class DataService:
    """One daemon on folders below `place`. As root it takes `run_as`; `extra` overrides fields of its order."""

    place: Path
    datasets: Sequence[MountedDataset]
    mount: Path | None = None
    files_uid: int = field(default_factory=os.geteuid)
    run_as: int | None = None
    launcher: Sequence[str] = ()  # a command in front, such as setpriv
    extra: dict[str, Any] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None
    first_word: dict[str, Any] = field(default_factory=dict)

    @property
    def socket(self) -> Path:
        """Where it answers."""
        return self.place / "run" / "dms.sock"

    @property
    def volume(self) -> Path:
        """Where it keeps cache and staged files."""
        return self.place / "volume"

    def order(self) -> dict[str, Any]:
        """What it is told to do."""
        return {
            "user": "ada",
            "mount": None if self.mount is None else str(self.mount),
            "socket": str(self.socket),
            "volume": str(self.volume),
            "admit_uids": sorted({self.files_uid, os.geteuid()}),
            "files_uid": self.files_uid,
            "files_gid": self.files_uid,
            "run_as_uid": self.run_as,
            "run_as_gid": self.run_as,
            "quota_bytes": 1 << 30,
            "datasets": [dataset.as_json() for dataset in self.datasets],
            **self.extra,
        }

    def start(self) -> dict[str, Any]:
        """Start it and return its first word."""
        command = [*self.launcher, sys.executable, "-m", "jupyter_alc.dms.daemon"]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True, env=_environment()
        )
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(self.order()).encode() + b"\n")
        self.process.stdin.close()
        self.first_word = json.loads(_line_of(self.process))
        return self.first_word

    def ask(self, question: Callable[[DmsClient], Awaitable[T]]) -> T:
        """Ask its socket, from a test that is not asynchronous."""

        async def asked() -> T:
            client = DmsClient(self.socket)
            try:
                return await question(client)
            finally:
                await client.close()
                await asyncio.sleep(0.01)  # a connection that broke off is closed a turn of the loop later

        return asyncio.run(asked())

    def wait_until(self, true: Callable[[dict[str, Any]], bool], seconds: float = SECONDS) -> dict[str, Any]:
        """Ask for the status until `true` of it; the last one is in the error when it never is."""
        deadline = time.monotonic() + seconds
        while True:
            told = self.ask(lambda client: client.status())
            if true(told):
                return told
            assert time.monotonic() < deadline, told
            time.sleep(0.1)

    def kill(self) -> None:
        """End it as a crash would, with -9."""
        self._signal(signal.SIGKILL)

    def stop(self) -> int:
        """End it as the machine's agent does, and take away the mount it may not take away itself."""
        code = self._signal(signal.SIGTERM)
        if self.mount is not None and os.geteuid() == 0:
            self._let_go()
        return code

    def _let_go(self) -> None:
        """Unmount, and answer whoever waits there still with an error."""
        subprocess.run(["umount", "-f", "-l", str(self.mount)], check=False, capture_output=True)

    def _signal(self, number: int) -> int:
        process = self.process
        if process is None:
            return 0
        if process.poll() is None:
            process.send_signal(number)
        try:
            code = process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            if self.mount is not None:
                self._let_go()
            process.kill()
            code = process.wait()
        if process.stdout is not None:
            process.stdout.close()
        self.process = None
        return code


def _line_of(process: subprocess.Popen[bytes]) -> bytes:
    assert process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], SECONDS)
    if not ready:
        process.kill()
        raise TimeoutError("The data service said nothing.")
    return process.stdout.readline()


def _environment() -> dict[str, str]:
    """Ours, with the checkout in front, and without what would make the daemon somebody else's."""
    kept = {name: text for name, text in os.environ.items() if not name.startswith(("ALC_", "JUPYTER"))}
    root = str(Path(__file__).parents[2])
    return {**kept, "PYTHONPATH": os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH", "")]))}
