"""Machines without root: a tree of processes of the one user there is. They isolate nobody, and say so."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final

from jupyter_alc.core.errors import Unavailable
from jupyter_alc.core.switches import turned
from jupyter_alc.vmm.clouds import volumes
from jupyter_alc.vmm.clouds.processes import ProcessId, with_environment

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from jupyter_alc.vmm.clouds.asked import Attach
    from jupyter_alc.vmm.clouds.records import MachineRecord, Records

MARK: Final = "ALC_MACHINE_KEY"
LOOPBACK: Final = "127.0.0.1"
LONGEST_SOCKET: Final = "m-123456789012/dms/dms.sock"  # of a machine, below the folder for sockets
_KEPT: Final = ("HOME", "LANG", "LOGNAME", "TMPDIR", "TZ", "USER")


def _own_uids() -> range:
    return range(os.getuid(), os.getuid() + 1)


@dataclass(slots=True)
class Plain:
    """Makes and ends machines as process trees; `run` is a short folder for their sockets."""

    isolation: ClassVar[str] = "none"

    state: Path
    environments: Path
    run: Path
    service_address: str = LOOPBACK
    code: Path | None = None
    uids: range = field(default_factory=_own_uids)
    _children: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict, repr=False)

    def reap(self) -> None:
        """Take leave of agents that ended, so that no zombie stays."""
        self._children = {key: child for key, child in self._children.items() if child.poll() is None}

    def address(self, used: Iterable[str]) -> str:
        """Return loopback: the machines share it."""
        del used
        return LOOPBACK

    def name(self, record: MachineRecord) -> None:
        """There is nothing to name."""

    def start(self, record: MachineRecord, records: Records, user_data: Mapping[str, Any]) -> None:
        """Start the agent of `record` in a session of its own."""
        private = self._folder(record.key) / "agent"
        private.mkdir(mode=0o700, parents=True, exist_ok=True)
        told = private / "user-data.json"
        with os.fdopen(os.open(told, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump({**user_data, "machine": record.for_agent()}, file)
        environment = {name: os.environ[name] for name in _KEPT if name in os.environ} | turned()
        home = self.environments / record.environment
        environment |= {MARK: record.key, "PATH": f"{home / 'bin'}:/usr/local/bin:/usr/bin:/bin"}
        environment |= {"PYTHONPATH": str(self.code)} if self.code else {}
        log_path = records.folder_of(record.key) / "machine.log"
        with os.fdopen(os.open(log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as log:
            child = subprocess.Popen(
                [home / "bin/python", "-P", "-m", "jupyter_alc.vmm.agent", "--folder", self._folder(record.key)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                cwd="/",
                start_new_session=True,
            )
        self._children[record.key] = child
        agent = ProcessId.of(child.pid)
        if agent is None:
            raise Unavailable("The machine ended at once.", next_step="Look at its log.")
        record.pid, record.started = agent.pid, agent.started
        record.limits = {"cores": False, "memory": False}
        records.save(record)

    def attach(self, record: MachineRecord, records: Records, asked: Attach) -> str:
        """Return the person's folder itself; there is no other view of it without root."""
        folder = volumes.host_folder(self.state, asked.person, asked.volume, asked.uid)
        record.volumes[asked.at] = str(folder)
        records.save(record)
        return str(folder)

    def end(self, key: str, record: MachineRecord | None) -> None:
        """End the machine's processes, found by the mark they inherited, and unmount what they left."""
        agent = record.init if record else None
        if agent:
            agent.kill(signal.SIGTERM)
            agent.wait_gone(5)
        for _ in range(20):
            left = with_environment(f"{MARK}={key}")
            for process in left:
                process.kill()
            if all(process.wait_gone(2) for process in left) and not with_environment(f"{MARK}={key}"):
                break
        child = self._children.pop(key, None)
        if child:
            child.kill()
            child.wait(10)
        for folder in record.volumes.values() if record else ():
            _unmount_below(Path(folder))
        shutil.rmtree(self._folder(key), ignore_errors=True)

    def _folder(self, key: str) -> Path:
        return self.run / f"m-{key[-12:]}"


def _unmount_below(folder: Path) -> None:
    rows = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    for row in rows:
        at = Path(row[1].encode().decode("unicode_escape"))
        if row[2].startswith("fuse") and at.is_relative_to(folder):
            subprocess.run(["fusermount3", "-u", "-z", str(at)], capture_output=True, timeout=10, check=False)
