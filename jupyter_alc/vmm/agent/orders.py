"""What VMM may order, read strictly: an agent does what it understands whole, or nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from jupyter_alc.core.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

STAGES: Final = ("claimed", "account", "mount", "proof", "server")
_USUAL_DEADLINES: Final[Mapping[str, float]] = {"account": 30.0, "mount": 60.0, "proof": 60.0, "server": 120.0}
_USUAL_QUOTA: Final = 20 * 1000**3


@dataclass(frozen=True, slots=True)
class Person:
    """The machine's one person: name of the account, its ids, and those of her data daemon."""

    name: str
    uid: int
    gid: int
    dms_uid: int
    dms_gid: int


@dataclass(frozen=True, slots=True)
class Claim:
    """Prepare the machine for this person. `datasets` and `environment` hold secrets."""

    allocation: str
    fence: int
    person: Person
    home: Path
    dms_volume: Path
    datasets: tuple[Mapping[str, Any], ...] = field(repr=False)
    quota_bytes: int
    environment: Mapping[str, str] = field(repr=False)
    args: tuple[str, ...]
    port: int
    deadlines: Mapping[str, float]

    @property
    def mount(self) -> Path:
        """Where the person finds her datasets."""
        return self.home / "data"

    def deadline(self, stage: str) -> float:
        """Seconds the stage may take."""
        return float(self.deadlines.get(stage, _USUAL_DEADLINES.get(stage, 60.0)))


@dataclass(frozen=True, slots=True)
class Release:
    """Drain: end the server, send what is unsent, say what is left."""

    allocation: str
    fence: int
    flush_deadline_seconds: float


def read_order(told: Mapping[str, Any]) -> Claim | Release:
    """Read one order; raises `BadInput` when it is not understood."""
    readers: dict[object, Callable[[Mapping[str, Any]], Claim | Release]] = {"claim": _claim, "release": _release}
    reader = readers.get(told.get("kind"))
    if reader is None:
        raise BadInput("The order is of an unknown kind.", next_step="Give the agent the version of VMM.", field="kind")
    try:
        return reader(told)
    except (KeyError, TypeError, ValueError) as error:
        raise BadInput("The order is not complete.", next_step="Give the agent the version of VMM.") from error


def _release(told: Mapping[str, Any]) -> Release:
    return Release(str(told["allocation"]), int(told["fence"]), float(told.get("flush_deadline_seconds", 60.0)))


def _claim(told: Mapping[str, Any]) -> Claim:
    who, data, server = told["person"], told.get("data") or {}, told["server"]
    name = str(who["name"])
    if not name or "/" in name or ":" in name or not name.isprintable():
        raise ValueError(name)
    ids = [int(who[kind]) for kind in ("uid", "gid", "dms_uid", "dms_gid")]
    return Claim(
        allocation=str(told["allocation"]),
        fence=int(told["fence"]),
        person=Person(name, *ids),
        home=Path(told["home"]),
        dms_volume=Path(told["dms_volume"]),
        datasets=tuple(data.get("datasets", ())),
        quota_bytes=int(data.get("quota_bytes", _USUAL_QUOTA)),
        environment={str(key): str(value) for key, value in server.get("environment", {}).items()},
        args=tuple(str(one) for one in server.get("args", ())),
        port=int(server.get("port", 0)),
        deadlines=told.get("deadlines") or {},
    )
