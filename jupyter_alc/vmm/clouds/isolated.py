"""Machines as root: each in a sandbox with processes, network, host name and files of its own."""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final

from jupyter_alc.core.errors import AlcError, Conflict, Missing, Unavailable
from jupyter_alc.core.switches import turned
from jupyter_alc.vmm.clouds import limits, network, volumes
from jupyter_alc.vmm.clouds.asked import PEOPLE, Attach
from jupyter_alc.vmm.clouds.etc import filtered_etc
from jupyter_alc.vmm.clouds.processes import ProcessId
from jupyter_alc.vmm.clouds.sandbox import MACHINE_CAPABILITIES, Bind, Folder, PrivateFile, Running, Sandbox, start

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterable, Mapping

    from jupyter_alc.vmm.clouds.records import MachineRecord, Records

ENV_AT: Final = "/opt/alc/env"
CODE_AT: Final = "/opt/alc/code"
PACKAGE: Final = "jupyter_alc"  # of a checkout nothing else is shown: it may hold state, logs and history
AGENT_FOLDER: Final = "/run/alc/agent"
_PYTHON: Final = f"{ENV_AT}/bin/python"
_PATH: Final = f"{ENV_AT}/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"


def base_environment(code: bool) -> dict[str, str]:
    """Return the environment every program in a sandbox starts with; `code` adds the developers' checkout."""
    plain = {**turned(), "PATH": _PATH, "LANG": "C.UTF-8", "HOME": "/root"}
    return {**plain, "PYTHONPATH": CODE_AT} if code else plain


@dataclass(slots=True)
class Isolated:
    """Makes and ends the machines of the instance whose state is at `state`."""

    isolation: ClassVar[str] = "sandbox"

    state: Path
    environments: Path
    service_address: str
    code: Path | None = None
    ports: tuple[int, ...] = ()
    uids: range = PEOPLE
    _children: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict, repr=False)

    def reap(self) -> None:
        """Take leave of sandboxes that ended, so that no zombie stays."""
        self._children = {key: child for key, child in self._children.items() if child.poll() is None}

    def address(self, used: Iterable[str]) -> str:
        """Return an address no machine has."""
        return network.free_address(self.service_address, used)

    def name(self, record: MachineRecord) -> None:
        """Write into `record` what is going to be made, before it is."""
        link = self._link(record.key, record.address)
        record.namespace, record.host_end = link.namespace, link.host_end

    def start(self, record: MachineRecord, records: Records, user_data: Mapping[str, Any]) -> None:
        """Start the machine of `record` and note its first process there. Raises AlcError; the caller then ends it."""
        folder = records.folder_of(record.key)
        held = limits.limit(record.namespace, record.cores, record.memory_bytes)
        record.cgroups, record.limits = [str(one) for one in held.folders], held.as_json()
        records.save(record)
        network.connect(self._link(record.key, record.address), self.service_address, self.ports)
        told = json.dumps({**user_data, "machine": record.for_agent()}).encode()
        sandbox = self._sandbox(record, held, filtered_etc(folder / "etc", record.key), told)
        with os.fdopen(os.open(folder / "machine.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as log:
            running = start(sandbox, log)
        self._children[record.key] = running.process
        self._note(record, running)
        records.save(record)
        _wait_made(running.init, folder / "machine.log")

    def attach(self, record: MachineRecord, records: Records, asked: Attach) -> str:
        """Put the person's volume into the running machine; returns its path there."""
        init = record.init
        if init is None or not init.alive():
            raise Unavailable(f"Machine {record.key} does not run.", next_step="Take another machine.")
        folder = volumes.host_folder(self.state, asked.person, asked.volume, asked.uid)
        if any(Path(other).parent != folder.parent for other in record.volumes.values()):
            raise Conflict("This machine is another person's.", next_step="Take another machine.")
        volumes.move_into(folder, init.pid, asked.at)
        record.volumes[asked.at] = str(folder)
        records.save(record)
        return asked.at

    def end(self, key: str, record: MachineRecord | None) -> None:
        """End the machine: all its processes, and with them its mounts; then its network and its groups."""
        init = record.init if record else None
        if init:
            init.kill()
            if not init.wait_gone(10):
                raise Unavailable(f"Machine {key} does not end.", next_step="Try again; look for a hanging disk.")
        child = self._children.pop(key, None)
        if child:
            child.kill()
            child.wait(10)
        link = self._link(key, record.address if record else "")
        limits.remove(map(Path, record.cgroups) if record and record.pid else limits.find(link.namespace))
        network.disconnect(link)

    def _link(self, key: str, address: str) -> network.Link:
        return network.link_for(str(self.state), key, address)

    def _note(self, record: MachineRecord, running: Running) -> None:
        init = ProcessId.of(running.init)
        if init is None:
            running.process.wait()
            raise Missing("The machine ended at once.", next_step="Look at its log.")
        record.pid, record.started = init.pid, init.started

    def _sandbox(self, record: MachineRecord, held: limits.Limits, etc: Path, user_data: bytes) -> Sandbox:
        code = (Bind(self.code / PACKAGE, f"{CODE_AT}/{PACKAGE}"),) if self.code else ()
        return Sandbox(
            argv=(_PYTHON, "-P", "-m", "jupyter_alc.vmm.agent"),
            etc=etc,
            hostname=record.key,
            environment=base_environment(code=self.code is not None),
            binds=(Bind(self.environments / record.environment, ENV_AT), *code),
            folders=(Folder(AGENT_FOLDER, 0o700), *((Folder(CODE_AT),) if code else ())),
            files=(PrivateFile(f"{AGENT_FOLDER}/user-data.json", user_data),),
            devices=("/dev/fuse",) if Path("/dev/fuse").exists() else (),
            network=record.namespace,
            capabilities=MACHINE_CAPABILITIES,
            cgroups=held.folders,
            tmpfs_bytes=max(record.memory_bytes // 2, 1 << 26),
            oom_score_adj=-900,
        )


def _wait_made(init: int, log: Path, deadline_seconds: float = 20.0) -> None:
    """Wait until bubblewrap has put the machine's files in place; its last act before the program starts."""
    until = time.monotonic() + deadline_seconds
    inside = Path(f"/proc/{init}/root{AGENT_FOLDER}")
    while not inside.is_dir():
        if ProcessId.of(init) is None or time.monotonic() > until:
            raise _not_made(log)
        time.sleep(0.01)


def _not_made(log: Path) -> AlcError:
    said = log.read_text(errors="replace").strip().splitlines()[-1:]
    return Missing(f"The machine did not start: {' '.join(said)[:200]}", next_step="Look at its log, machine.log.")
