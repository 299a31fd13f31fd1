"""The stages of a start, as the progress page, the panel and REST show them; their usual times come from history."""

from __future__ import annotations

import statistics
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Connection, delete, insert, select

from jupyter_alc.core.states import AllocationState
from jupyter_alc.vmm.schema import SAMPLE, STAGE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from jupyter_alc.vmm.rows import Allocation

_A = AllocationState

WAITING: Final = "waiting for a machine"
STAGES: Final = ("claimed", "account", "mount", "proof", "server")
BOOT: Final = "boot"
_KEPT: Final = 50


def note_stage(connection: Connection, allocation: Allocation, name: str, seconds: float, now: float) -> bool:
    """Write that a stage is done; False when it was known already."""
    seen = select(STAGE.c.name).where(STAGE.c.allocation == allocation.id, STAGE.c.name == name)
    if connection.execute(seen).first() is not None:
        return False
    connection.execute(insert(STAGE).values(allocation=allocation.id, name=name, seconds=seconds, at=now))
    note_sample(connection, allocation.type, name, seconds)
    return True


def note_sample(connection: Connection, type_id: str, name: str, seconds: float) -> None:
    """Remember how long something took, the newest 50 of each kind."""
    connection.execute(insert(SAMPLE).values(type=type_id, name=name, seconds=seconds))
    same = select(SAMPLE.c.id).where(SAMPLE.c.type == type_id, SAMPLE.c.name == name).order_by(SAMPLE.c.id.desc())
    old = connection.execute(same.offset(_KEPT)).scalars().all()
    if old:
        connection.execute(delete(SAMPLE).where(SAMPLE.c.id.in_(old)))


def usual_seconds(connection: Connection) -> dict[tuple[str, str], float]:
    """Return the median by (machine type, stage), `boot` included."""
    found: dict[tuple[str, str], list[float]] = {}
    for type_id, name, seconds in connection.execute(select(SAMPLE.c.type, SAMPLE.c.name, SAMPLE.c.seconds)):
        found.setdefault((type_id, name), []).append(seconds)
    return {key: round(statistics.median(values), 2) for key, values in found.items()}


def stages_done(connection: Connection, ident: str) -> dict[str, float]:
    """Return the seconds of each stage that is done."""
    rows = connection.execute(select(STAGE.c.name, STAGE.c.seconds).where(STAGE.c.allocation == ident))
    return {str(row[0]): float(row[1]) for row in rows}


def iso(seconds: float | None) -> str | None:
    """Return a time as ISO 8601 in UTC."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def allocation_json(
    allocation: Allocation, done: Mapping[str, float], usual: Mapping[tuple[str, str], float]
) -> dict[str, Any]:
    """Return the allocation as REST tells it: never a secret."""
    return {
        "id": allocation.id,
        "user": allocation.user,
        "server": allocation.server,
        "machine_type": allocation.type,
        "machine": allocation.machine,
        "state": str(allocation.state),
        "why": allocation.why,
        "stages": stage_list(allocation, done, usual),
        "url": allocation.url,
        "problem": allocation.problem,
        "lease_until": iso(allocation.lease_until),
        "created": iso(allocation.created),
    }


def stage_list(
    allocation: Allocation, done: Mapping[str, float], usual: Mapping[tuple[str, str], float]
) -> list[dict[str, Any]]:
    """Return the stages in order, each done, now, waiting or failed."""
    names: Sequence[str] = STAGES
    if allocation.state is _A.QUEUED or WAITING in done or allocation.claimed_at is None:
        names = (WAITING, *STAGES)
    told: list[dict[str, Any]] = []
    running = allocation.state not in {_A.READY, _A.RELEASING, _A.RELEASED, _A.REFUSED}
    for name in names:
        state = "waiting"
        if name in done:
            state = "done"
        elif running:
            running = False
            state = "failed" if allocation.state is _A.FAILED else "now"
        seconds = done.get(name)
        told.append(
            {
                "name": name,
                "seconds": None if seconds is None else round(seconds, 2),
                "usual_seconds": usual.get((allocation.type, BOOT if name == WAITING else name)),
                "state": state,
            }
        )
    return told
