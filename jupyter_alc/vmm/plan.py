"""What to do next: a pure function of the rows, the cloud's list, the types and the time (docs/semantics/vmm.md 7)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from jupyter_alc.core.states import AllocationState, MachineState
from jupyter_alc.vmm.rows import BOOTING, GIVEN, HELD, WARM, Allocation, Machine

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jupyter_alc.vmm.sight import Seen
    from jupyter_alc.vmm.store import Rows
    from jupyter_alc.vmm.timing import Timing
    from jupyter_alc.vmm.types import MachineType

_A, _M = AllocationState, MachineState

BURST: Final = 4  # creates of one type in one pass
BREAKER: Final = 3  # bad boots in a row from which one machine at a time is tried
SWEEP_CAP: Final = 4  # leaked machines that one sweep may end
LONGEST_PAUSE: Final = 300.0


@dataclass(frozen=True, slots=True)
class View:
    """A list the cloud answered; `asked_at` is when it was asked, so that later moves are not judged by it."""

    asked_at: float
    machines: Mapping[str, Seen]


@dataclass(frozen=True, slots=True)
class Sighting:
    """A key no living row has, since when and how often it was seen."""

    since: float
    times: int = 1


@dataclass(frozen=True, slots=True)
class World:
    """All that a decision depends on. `view` is None when the last list failed."""

    rows: Rows
    view: View | None
    previous: View | None
    types: Mapping[str, MachineType]
    timing: Timing
    now: float
    since: float  # when this keeper began to hear, its disk being full before: silence until then does not count
    busy: frozenset[str] = frozenset()  # keys a worker thread is busy with
    strangers: Mapping[str, Sighting] = field(default_factory=dict)
    closing: bool = False


@dataclass(frozen=True, slots=True)
class Create:
    """Write a row and ask the cloud for a machine of this type."""

    type: str


@dataclass(frozen=True, slots=True)
class Note:
    """The list shows this machine: write where it is, and that it is being built."""

    key: str
    seen: Seen
    built: bool


@dataclass(frozen=True, slots=True)
class Fail:
    """This machine is lost; so is the allocation it was for."""

    key: str
    why: str


@dataclass(frozen=True, slots=True)
class End:
    """This machine is not wanted any more."""

    key: str
    why: str


@dataclass(frozen=True, slots=True)
class Destroy:
    """Ask the cloud to end it."""

    key: str


@dataclass(frozen=True, slots=True)
class Gone:
    """The cloud's list says so."""

    key: str


@dataclass(frozen=True, slots=True)
class Prepare:
    """Attach the person's volumes, then give the order."""

    key: str
    allocation: str


@dataclass(frozen=True, slots=True)
class Retry:
    """Tell a draining machine to send what is left."""

    key: str


@dataclass(frozen=True, slots=True)
class Release:
    """This allocation's time is over."""

    allocation: str
    why: str


@dataclass(frozen=True, slots=True)
class Finish:
    """This releasing allocation has no machine any more."""

    allocation: str


@dataclass(frozen=True, slots=True)
class GiveUp:
    """No machine will come for this waiting allocation."""

    allocation: str
    type: str


@dataclass(frozen=True, slots=True)
class HandOver:
    """Somebody waits and a machine may be ready."""


@dataclass(frozen=True, slots=True)
class DestroyStranger:
    """End a leaked machine."""

    key: str


@dataclass(frozen=True, slots=True)
class Alarm:
    """Something an operator must look at."""

    sentence: str


Action = (
    Create
    | Note
    | Fail
    | End
    | Destroy
    | Gone
    | Prepare
    | Retry
    | Release
    | Finish
    | GiveUp
    | HandOver
    | DestroyStranger
    | Alarm
)


def decide(world: World) -> list[Action]:
    """Return what to do now, most urgent first. Repeating it changes nothing once done."""
    actions: list[Action] = []
    for allocation in world.rows.allocations:
        actions += _for_allocation(world, allocation)
    for machine in world.rows.machines:
        if machine.key not in world.busy:
            actions += _for_machine(world, machine)
    if any(one.state is _A.QUEUED for one in world.rows.allocations):
        actions.append(HandOver())
    for kind in world.types.values():
        actions += _for_type(world, kind)
    return actions + _sweep(world)


def _for_allocation(world: World, allocation: Allocation) -> list[Action]:
    machine = next((one for one in world.rows.machines if one.key == allocation.machine), None)
    if allocation.state is _A.RELEASING and (machine is None or machine.state not in GIVEN):
        return [Finish(allocation.id)]
    if allocation.state in HELD | {_A.QUEUED}:
        if world.closing:
            return [Release(allocation.id, "VMM closes")]
        if world.now > max(allocation.lease_until, world.since + world.timing.lease_seconds):
            return [Release(allocation.id, "its lease is over")]
    if allocation.state is _A.CLAIMED and machine is not None and machine.order_number == 0:
        pause = backoff(machine.attach_tries, 1.0)
        waited = machine.tried_at is None or world.now >= machine.tried_at + pause
        if machine.state is _M.CLAIMED and machine.key not in world.busy and waited:
            return [Prepare(machine.key, allocation.id)]
    return []


def backoff(tries: int, first: float) -> float:
    """Return the pause after `tries` failures: none, then doubling from `first` up to five minutes."""
    return 0.0 if tries == 0 else min(LONGEST_PAUSE, first * 2 ** min(tries - 1, 20))


def _for_machine(world: World, machine: Machine) -> list[Action]:
    seen = world.view.machines.get(machine.key) if world.view else None
    if machine.state is _M.DELETING:
        return _deleting(world, machine, seen)
    if machine.state is _M.FAILED:
        return [End(machine.key, machine.fault or "it failed")]
    lost = _lost(world, machine, seen)
    if lost:
        return [Fail(machine.key, lost)]
    actions: list[Action] = []
    if seen is not None and (machine.isolation is None or machine.state is _M.REQUESTED):
        actions.append(Note(machine.key, seen, machine.state is _M.REQUESTED))
    if machine.state in WARM:
        return actions + _warm(world, machine)
    if machine.state is _M.DRAINING:
        actions += _draining(world, machine)
    elif machine.state in {_M.CLAIMED, _M.IN_USE} and not _owned(world, machine):
        actions.append(End(machine.key, "nobody has it any more"))
    return actions


def _owned(world: World, machine: Machine) -> bool:
    return any(one.id == machine.allocation for one in world.rows.allocations)


def _lost(world: World, machine: Machine, seen: Seen | None) -> str:
    """Say why a machine is lost; empty when it is not."""
    if world.view is None:
        return ""
    if seen is not None:
        died = seen.state == "dead" and world.view.asked_at >= machine.moved
        return "the cloud says that it is dead" if died else ""
    if machine.state is _M.REQUESTED:
        return "" if world.now < machine.created + world.timing.launch_seconds else "it never appeared in the cloud"
    views = (world.view, world.previous)
    missed = [one for one in views if one and one.asked_at > machine.moved and machine.key not in one.machines]
    return "the cloud no longer has it" if len(missed) == len(views) else ""


def _warm(world: World, machine: Machine) -> list[Action]:
    if world.closing:
        return [End(machine.key, "VMM closes")]
    if machine.type not in world.types:
        return [End(machine.key, "its type is no longer offered")]
    if world.view is None:  # could not ask: everything counts as running
        return []
    if machine.state in BOOTING and world.now > machine.created + world.timing.launch_seconds:
        return [Fail(machine.key, "it was not ready in time")]
    heard = max(machine.last_seen or machine.moved, world.since)
    if machine.state is _M.READY and world.now > heard + world.timing.warm_silent_seconds:
        return [Fail(machine.key, "its agent fell silent")]
    return []


def _draining(world: World, machine: Machine) -> list[Action]:
    heard = max(machine.last_seen or machine.moved, world.since)
    if world.now > heard + world.timing.drain_silent_seconds:
        return [End(machine.key, "its agent fell silent while draining; the data volume keeps what is staged")]
    told_at = machine.order_at or machine.moved
    at_work = machine.drained_at is None or machine.drained_at < told_at
    overdue = world.now > told_at + world.timing.flush_seconds + world.timing.drain_work_seconds
    if at_work and not overdue:
        return []
    if world.closing:
        return [End(machine.key, "VMM closes; the data volume keeps what is unsent")]
    if any(one.state is _A.QUEUED and one.user == machine.person for one in world.rows.allocations):
        return [End(machine.key, "its person waits for her next machine, which sends what is unsent")]
    if at_work or world.now >= (machine.drained_at or 0.0) + world.timing.drain_retry_seconds:
        return [Retry(machine.key)]
    return []


def _deleting(world: World, machine: Machine, seen: Seen | None) -> list[Action]:
    asked = machine.tried_at
    if world.view is None:
        return []
    if asked is not None and machine.destroy_tries == 0 and seen is None and world.view.asked_at > asked:
        return [Gone(machine.key)]
    pause = backoff(max(1, machine.destroy_tries), world.timing.destroy_retry_seconds)
    return [Destroy(machine.key)] if asked is None or world.now >= asked + pause else []


@dataclass(frozen=True, slots=True)
class Boots:
    """How the last boots of a type went: bad ones in a row, when the last one failed, why."""

    bad: int = 0
    last: float = 0.0
    fault: str = ""

    def next_try(self, timing: Timing) -> float:
        """When the next machine may be asked for."""
        return self.last + backoff(self.bad, timing.boot_retry_seconds)


def boots(rows: Rows, type_id: str) -> Boots:
    """Count the newest machines of a type that failed before they were ever ready, up to the first that was."""
    known = [one for one in (*rows.machines, *rows.recent) if one.type == type_id]
    bad = 0
    last, fault = 0.0, ""
    for machine in sorted(known, key=lambda one: one.created, reverse=True):
        if machine.ready_at is not None:
            break
        if machine.fault is None:
            continue  # still on its way, or ended without a fault of its own
        bad += 1
        if bad == 1:
            last, fault = machine.gone_at or machine.moved, machine.fault
    return Boots(bad, last, fault)


def _for_type(world: World, kind: MachineType) -> list[Action]:
    if world.view is None or world.closing:
        return []
    mine = [one for one in world.rows.machines if one.type == kind.id]
    waiting = [one for one in world.rows.allocations if one.type == kind.id and one.state is _A.QUEUED]
    warm = [one for one in mine if one.state in WARM]
    wanted = kind.min_ready + len(waiting)
    history = boots(world.rows, kind.id)
    if history.bad >= BREAKER and waiting and not warm:
        return [GiveUp(one.id, kind.id) for one in waiting]
    room = min(wanted - len(warm), kind.max_total - len(mine), BURST)
    if room > 0 and world.now >= history.next_try(world.timing):
        booting = any(one.state in BOOTING for one in warm)
        if history.bad >= BREAKER:
            room = 0 if booting else 1
        return [Create(kind.id)] * room
    spare = [one for one in warm if one.state is _M.READY and one.key not in world.busy]
    idle = [one for one in spare if world.now > one.moved + world.timing.surplus_seconds]
    if len(warm) > wanted and idle:
        oldest = min(idle, key=lambda one: (one.created, one.key))
        return [End(oldest.key, "one more than wanted")]
    return []


def strangers_of(known: Mapping[str, Sighting], rows: Rows, view: View, now: float) -> dict[str, Sighting]:
    """Return who is in the list without a living row, with how often it was seen; whoever left is forgotten."""
    living = {one.key for one in rows.machines}
    found: dict[str, Sighting] = {}
    for key in view.machines:
        if key not in living:
            before = known.get(key)
            found[key] = Sighting(now) if before is None else Sighting(before.since, before.times + 1)
    return found


def _sweep(world: World) -> list[Action]:
    if world.view is None:
        return []
    grace = world.timing.leak_grace_seconds
    leaked = sorted(
        key
        for key, one in world.strangers.items()
        if one.times >= 2 and world.now >= one.since + grace and key not in world.busy and key in world.view.machines
    )
    if len(leaked) > SWEEP_CAP:
        return [
            Alarm(f"{len(leaked)} machines in the cloud have no row here; that is too many to end unasked: {leaked}")
        ]
    return [DestroyStranger(key) for key in leaked]
