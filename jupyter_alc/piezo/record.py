"""What is written down about a cluster: a frozen value, and its file in the cluster's folder."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from jupyter_alc.core.errors import NoSpace
from jupyter_alc.core.full_disk import is_full_disk
from jupyter_alc.core.states import CLUSTER_MOVES, ClusterState, check_move

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from jupyter_alc.core.errors import AlcError

FILE: Final = "cluster.json"


class Ending(StrEnum):
    """Why a cluster ended; set once, kept for good."""

    STOPPED = "stopped"
    LEASE = "lease"
    NEVER_STARTED = "never-started"
    FAILED = "failed"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class ClusterRecord:
    """A cluster as its folder keeps it. Times are ISO 8601 in UTC. It holds no secret."""

    id: str
    name: str
    framework: str
    version: str
    backend: str
    options: dict[str, Any]
    cores: int
    workers: int
    created: str
    changed: str
    lease_seconds: float
    socket: str
    state: ClusterState = ClusterState.ASKED
    reason: str = "waiting for its supervisor"
    ending: Ending | None = None
    problem: dict[str, Any] | None = None
    ready_seconds: float | None = None
    gone: str | None = None

    def moved(
        self, state: ClusterState, now: datetime, *, reason: str = "", ending: Ending | None = None
    ) -> ClusterRecord:
        """The record after a move to `state`; raises `IllegalMove`. The first ending given stays.

        The reason belongs to the new state; without one, only what went wrong stays said.
        """
        check_move(CLUSTER_MOVES, self.state, state, f"Cluster {self.name}")
        return replace(
            self,
            state=state,
            reason=reason or (self.reason if self.problem or self.ending else ""),
            ending=self.ending or ending,
            changed=now.isoformat(),
            gone=now.isoformat() if state is ClusterState.GONE else self.gone,
        )

    def waiting(self, reason: str) -> ClusterRecord:
        """The same cluster with another reason for waiting."""
        return replace(self, reason=reason)

    def answered(self, seconds: float) -> ClusterRecord:
        """The same cluster, with how many seconds it took to be ready."""
        return replace(self, ready_seconds=round(seconds, 2))

    def broken(self, problem: AlcError) -> ClusterRecord:
        """The same cluster with what went wrong; the first problem stays."""
        return replace(self, problem=self.problem or problem.as_json(), reason=problem.sentence)

    def age_seconds(self, now: datetime) -> float:
        """Seconds since it was asked for."""
        return (now - datetime.fromisoformat(self.created)).total_seconds()

    def gone_seconds(self, now: datetime) -> float:
        """Seconds since nothing of it is left; 0 while something is."""
        return (now - datetime.fromisoformat(self.gone)).total_seconds() if self.gone else 0.0


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster as users, panel, magics and REST are told of it: the record and what is true right now."""

    record: ClusterRecord
    executors_running: int = 0
    lease_until: str | None = None
    ui: bool = False

    @property
    def id(self) -> str:
        """The id its creator chose."""
        return self.record.id

    @property
    def state(self) -> ClusterState:
        """The state last written down."""
        return self.record.state

    def as_json(self) -> dict[str, Any]:
        """What everybody sees; no secret in it."""
        record = self.record
        return {
            "id": record.id,
            "name": record.name,
            "framework": record.framework,
            "version": record.version,
            "backend": record.backend,
            "state": str(record.state),
            "reason": record.reason,
            "ending": None if record.ending is None else str(record.ending),
            "cores": record.cores,
            "workers": record.workers,
            "executors": {"running": self.executors_running, "wanted": record.workers},
            "options": record.options,
            "created": record.created,
            "changed": record.changed,
            "ready_seconds": record.ready_seconds,
            "lease_seconds": record.lease_seconds,
            "lease_until": self.lease_until,
            "ui": self.ui,
            "problem": record.problem,
        }

    @classmethod
    def from_json(cls, record: ClusterRecord, told: Mapping[str, Any]) -> Cluster:
        """Read `as_json` back, over the `record` of the same cluster."""
        ending = told["ending"]
        now = replace(
            record,
            state=ClusterState(told["state"]),
            reason=told["reason"],
            ending=None if ending is None else Ending(ending),
            changed=told["changed"],
            ready_seconds=told["ready_seconds"],
            problem=told["problem"],
        )
        return cls(now, told["executors"]["running"], told["lease_until"], told["ui"])


@dataclass(frozen=True, slots=True, repr=False)
class Connection:
    """How the owner's kernel reaches the cluster. `connect_url` holds the token: for the owner's kernel alone."""

    connect_url: str
    ui_url: str

    def __repr__(self) -> str:
        return f"Connection(ui_url={self.ui_url!r})"

    def as_json(self) -> dict[str, str]:
        """Both addresses."""
        return {"connect_url": self.connect_url, "ui_url": self.ui_url}


def read_record(folder: Path) -> ClusterRecord | None:
    """Return the record kept in `folder`; None where there is none or it cannot be read."""
    try:
        told = json.loads((folder / FILE).read_text())
        told["state"] = ClusterState(told["state"])
        told["ending"] = None if told["ending"] is None else Ending(told["ending"])
        return ClusterRecord(**told)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write_record(folder: Path, record: ClusterRecord) -> None:
    """Write `record` so that a reader sees the old one or the new one, never half of it."""
    made = folder / f".{FILE}.{os.getpid()}"
    descriptor = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            json.dump(asdict(record), file, indent=1)
        made.replace(folder / FILE)
    except OSError:
        made.unlink(missing_ok=True)
        raise


def note_record(folder: Path, record: ClusterRecord) -> None:
    """As `write_record`, but on a full disk the record stays as it was: who looks later goes on from there."""
    try:
        write_record(folder, record)
    except OSError as error:
        if not is_full_disk(error):
            raise


def no_room(folder: Path) -> NoSpace:
    """What is told when there is no room for a cluster's files."""
    return NoSpace(
        f"The disk is full: there is no room for a cluster's files in {folder}.",
        next_step="Delete files you do not need there, then start a cluster again.",
    )
