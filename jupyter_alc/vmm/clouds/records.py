"""What the launcher remembers of a machine, on disk, so that a new launcher finds what the old one made."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from jupyter_alc.vmm.clouds.processes import ProcessId

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path


@dataclass(slots=True)
class MachineRecord:
    """One machine: written before anything of it is made, removed after all of it is gone. Holds no secret."""

    key: str
    type: str
    environment: str
    cores: float
    memory_bytes: int
    isolation: str
    address: str
    started_at: str
    pid: int = 0
    started: int = 0
    limits: dict[str, bool] = field(default_factory=dict)
    cgroups: list[str] = field(default_factory=list)
    namespace: str = ""
    host_end: str = ""
    volumes: dict[str, str] = field(default_factory=dict)

    @property
    def init(self) -> ProcessId | None:
        """The process whose end is the machine's end; None before it was started."""
        return ProcessId(self.pid, self.started) if self.pid else None

    def for_agent(self) -> dict[str, Any]:
        """What the machine itself is told about itself."""
        return {
            "key": self.key,
            "type": self.type,
            "cores": self.cores,
            "memory_bytes": self.memory_bytes,
            "isolation": self.isolation,
            "limits": self.limits or {"cores": False, "memory": False},
            "address": self.address,
        }

    def as_json(self) -> dict[str, Any]:
        """The launcher's answer: the public part, with the state looked up now."""
        init = self.init
        return {
            **self.for_agent(),
            "state": "running" if init and init.alive() else "dead",
            "pid": self.pid,
            "environment": self.environment,
            "started_at": self.started_at,
        }


@dataclass(frozen=True, slots=True)
class Records:
    """All machines of one instance, below `<state>/machines/<key>/machine.json`."""

    folder: Path

    def folder_of(self, key: str) -> Path:
        """Where everything of machine `key` lies on the host."""
        return self.folder / key

    def save(self, record: MachineRecord) -> None:
        """Write `record` so that a crash leaves the old or the new one, never half."""
        folder = self.folder_of(record.key)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = folder / "machine.json.new"
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(asdict(record), file)
        draft.replace(folder / "machine.json")

    def load(self, key: str) -> MachineRecord | None:
        """Return what was saved of `key`; None when nothing (or nothing readable) was."""
        try:
            told: Mapping[str, Any] = json.loads((self.folder_of(key) / "machine.json").read_text())
            return MachineRecord(**told)
        except (OSError, ValueError, TypeError):
            return None

    def all(self) -> Iterator[MachineRecord]:
        """Every machine that was made and not ended."""
        if self.folder.is_dir():
            for folder in sorted(self.folder.iterdir()):
                record = self.load(folder.name)
                if record:
                    yield record
