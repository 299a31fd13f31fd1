"""What the form says about a machine type: counts, and one sentence that is true (pure)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from jupyter_alc.core.states import AllocationState, MachineState
from jupyter_alc.vmm.plan import BREAKER, boots
from jupyter_alc.vmm.rows import BOOTING, GIVEN
from jupyter_alc.vmm.stages import BOOT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jupyter_alc.vmm.store import Rows
    from jupyter_alc.vmm.timing import Timing
    from jupyter_alc.vmm.types import MachineType

NO_FOLDERS: Final = "Data only as dms:// in Python, not as folders: no FUSE here."
NO_SPARK: Final = "No Spark clusters: no Java here."
_FIRST_BOOT_SECONDS = 20.0  # said before anything was ever measured


@dataclass(frozen=True, slots=True)
class Offer:
    """`state` is ready, soon, full, refused or cloud-down; `seconds` is the wait where one can be told."""

    state: str
    words: str
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Scene:
    """What offers depend on besides the type."""

    rows: Rows
    usual: Mapping[tuple[str, str], float]
    timing: Timing
    now: float
    cloud_down: bool = False
    closing: bool = False
    refused: bool = False  # machines are not isolated and this person is not the one they serve


def offer_json(kind: MachineType, scene: Scene) -> dict[str, Any]:
    """Return the machine type as REST tells it."""
    mine = [one for one in scene.rows.machines if one.type == kind.id]
    seen = [one for one in mine if one.isolation is not None]
    offer = offer_of(kind, scene)
    return {
        "id": kind.id,
        "title": kind.title,
        "description": kind.description,
        "cores": kind.cores,
        "memory_bytes": kind.memory_bytes,
        "environment": kind.environment,
        "isolation": seen[-1].isolation if seen else None,
        "limits_note": _limits_note(seen[-1].limits if seen else None),
        "lacks_note": _lacks_note(kind, scene),
        "counts": {
            "ready": sum(one.state is MachineState.READY for one in mine),
            "building": sum(one.state in BOOTING for one in mine),
            "in_use": sum(one.state in GIVEN for one in mine),
            "max": kind.max_total,
        },
        "offer": {"state": offer.state, "words": offer.words, "seconds": offer.seconds},
    }


def _limits_note(limits: Mapping[str, Any] | None) -> str:
    missing = [name for name in ("cores", "memory") if limits is not None and not limits.get(name)]
    return f"Not enforced here: {' and '.join(missing)}." if missing else ""


def _lacks_note(kind: MachineType, scene: Scene) -> str:
    """Say what the newest machine of the type that looked at itself has found missing."""
    known = sorted((*scene.rows.machines, *scene.rows.recent), key=lambda one: one.created)
    found = next((one.self_test for one in reversed(known) if one.type == kind.id and one.self_test), {})
    lacks = [NO_FOLDERS] if found.get("fuse") is False else []
    lacks += [NO_SPARK] if found.get("spark") and found.get("java") is False else []
    return " ".join(lacks)


def offer_of(kind: MachineType, scene: Scene) -> Offer:
    """Say what somebody who asks now will get."""
    if scene.refused:
        return Offer("refused", "machines here are not isolated and serve one other person only")
    if scene.closing:
        return Offer("cloud-down", "the service is closing")
    mine = [one for one in scene.rows.machines if one.type == kind.id]
    queue = sum(one.type == kind.id and one.state is AllocationState.QUEUED for one in scene.rows.allocations)
    ready = sum(one.state is MachineState.READY and one.isolation is not None for one in mine) - queue
    if ready > 0:
        return Offer("ready", f"{ready} ready now", 0)
    given = sum(one.state in GIVEN for one in mine)
    if given + queue >= kind.max_total:
        return Offer("full", "it is in use" if kind.max_total == 1 else f"all {kind.max_total} in use")
    if scene.cloud_down:
        return Offer("cloud-down", "the cloud does not answer")
    history = boots(scene.rows, kind.id)
    if history.bad >= BREAKER:
        pause = max(0, round(history.next_try(scene.timing) - scene.now))
        return Offer("cloud-down", f"machines of this type do not start; next try in {pause} s", pause)
    return _soon(kind, scene, queue)


def _soon(kind: MachineType, scene: Scene, queue: int) -> Offer:
    usual = scene.usual.get((kind.id, BOOT), _FIRST_BOOT_SECONDS)
    booting = sorted(one.created for one in scene.rows.machines if one.type == kind.id and one.state in BOOTING)
    seconds = usual
    if queue < len(booting):
        seconds = max(1.0, booting[queue] + usual - scene.now)
    place = f", place {queue + 1}" if queue else ""
    return Offer("soon", f"about {round(seconds)} s{place}", round(seconds))
