"""Claim, queue, release: functions of one open write transaction. Semantics: docs/semantics/vmm.md 3, 5, 6."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, func, insert, select

from jupyter_alc.core.errors import AlcError, BadInput, Conflict, Denied, NotFound, PoolExhausted
from jupyter_alc.core.states import AllocationState, MachineState
from jupyter_alc.vmm.moves import change_allocation, change_machine, move_allocation, move_machine
from jupyter_alc.vmm.rows import (
    GIVEN,
    HELD,
    OPEN,
    OVER,
    Allocation,
    Machine,
    allocations_in,
    allocations_of,
    find_allocation,
    find_machine,
    find_person,
    living_machines,
)
from jupyter_alc.vmm.schema import ALLOCATION, PERSON

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jupyter_alc.vmm.people import Person
    from jupyter_alc.vmm.types import MachineType

_A, _M = AllocationState, MachineState

NOT_ISOLATED = (
    "The machines here are not isolated from each other, so they serve one person only, and that is somebody else."
)


@dataclass(frozen=True, slots=True)
class Claim:
    """What the spawner asks for; `secrets` is what only the machine may get."""

    user: str
    server: str
    spawn: str
    machine_type: str
    secrets: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def ident(self, hub: str) -> str:
        """The allocation's id: the same for the same hub, user, server and spawn."""
        told = json.dumps([hub, self.user, self.server, self.spawn])
        return f"alloc-{hashlib.sha256(told.encode()).hexdigest()[:20]}"


def claim(
    connection: Connection,
    asked: Claim,
    types: Mapping[str, MachineType],
    *,
    hub: str,
    now: float,
    lease_seconds: float,
) -> tuple[Allocation, bool]:
    """Return the allocation for this claim and whether it is new; see the semantics page, 3.

    Raises `BadInput` (type), `Conflict` (another server of hers has one), `Denied` (no isolation), `PoolExhausted`.
    """
    ident = asked.ident(hub)
    try:
        return find_allocation(connection, ident), False
    except NotFound:
        pass
    wanted = types.get(asked.machine_type)
    if wanted is None or not wanted.offered_to(asked.user):
        raise BadInput(
            f"There is no machine type {asked.machine_type[:63]!r} for you.",
            next_step="Choose one of the types in the form.",
            field="machine_type",
        )
    machines = living_machines(connection)
    check_alone(connection, asked.user, machines)
    _replace_older(connection, asked, now)
    _check_room(connection, asked.user, wanted, machines)
    _number(connection, asked.user, now)
    connection.execute(
        insert(ALLOCATION).values(
            id=ident,
            user=asked.user,
            server=asked.server,
            spawn=asked.spawn,
            type=wanted.id,
            state=_A.QUEUED,
            created=now,
            moved=now,
            lease_until=now + lease_seconds,
            secrets=dict(asked.secrets),
        )
    )
    assign(connection, now)
    return find_allocation(connection, ident), True


def check_alone(connection: Connection, user: str, machines: list[Machine]) -> None:
    """Raise `Denied` when machines are not isolated and somebody else was served here."""
    if not any(machine.isolation == "none" for machine in machines):
        return
    known = connection.execute(select(PERSON.c.name).where(PERSON.c.number == 0)).scalar_one_or_none()
    if known not in {None, user}:
        raise Denied(NOT_ISOLATED, next_step="Ask the operator to run jupyter-alc as root, which isolates machines.")


def _replace_older(connection: Connection, asked: Claim, now: float) -> None:
    for older in allocations_of(connection, asked.user):
        if older.state not in OPEN:
            continue
        if older.server != asked.server:
            name = f"server {older.server!r}" if older.server else "default server"
            raise Conflict(
                f"You have a machine already, for your {name}, and your data is attached to one at a time.",
                next_step="Stop that server first, then start this one.",
            )
        release(connection, older.id, now, "replaced by a newer start of the same server")


def _check_room(connection: Connection, user: str, wanted: MachineType, machines: list[Machine]) -> None:
    given = [m for m in machines if m.type == wanted.id and m.state in GIVEN and m.person != user]
    waiting = [a for a in allocations_in(connection, [_A.QUEUED]) if a.type == wanted.id]
    if len(given) + len(waiting) >= wanted.max_total:
        raise PoolExhausted(
            f"All {wanted.max_total} machines of the type {wanted.title!r} are in use.",
            next_step="Choose another type, or try again when somebody has stopped theirs.",
        )


def _number(connection: Connection, user: str, now: float) -> None:
    if find_person(connection, user) is None:
        number = connection.execute(select(func.coalesce(func.max(PERSON.c.number) + 1, 0))).scalar_one()
        connection.execute(insert(PERSON).values(name=user, number=number, since=now))


def assign(connection: Connection, now: float) -> list[Allocation]:
    """Give ready machines to those who wait, oldest first; return the allocations that got one."""
    machines = living_machines(connection)
    ready = [m for m in machines if m.state is _M.READY and m.isolation is not None and m.secret_hash]
    ready.sort(key=lambda m: (m.ready_at or 0.0, m.key))
    busy = {m.person for m in machines if m.person is not None}
    got: list[Allocation] = []
    for waiting in allocations_in(connection, [_A.QUEUED]):
        machine = next((m for m in ready if m.type == waiting.type), None)
        if machine is None or waiting.user in busy:
            continue
        try:
            check_alone(connection, waiting.user, machines)
        except AlcError as error:
            move_allocation(connection, waiting.id, _A.FAILED, now, "not isolated", problem=error.as_json())
            continue
        ready.remove(machine)
        busy.add(waiting.user)
        fence = machine.fence + 1
        why = f"claimed by allocation {waiting.id}"
        move_machine(
            connection, machine.key, _M.CLAIMED, now, why, allocation=waiting.id, person=waiting.user, fence=fence
        )
        changes = {"machine": machine.key, "fence": fence, "claimed_at": now}
        got.append(move_allocation(connection, waiting.id, _A.CLAIMED, now, "a machine was ready", **changes))
    return got


def release(connection: Connection, ident: str, now: float, why: str) -> Allocation:
    """Begin the release; safe to repeat. Raises `NotFound` for an unknown id."""
    allocation = find_allocation(connection, ident)
    if allocation.state is _A.QUEUED:
        return move_allocation(connection, ident, _A.RELEASED, now, why)
    if allocation.state in OVER or allocation.state is _A.RELEASING:
        return allocation
    machine = None if allocation.machine is None else find_machine(connection, allocation.machine)
    if machine is not None:
        drain(connection, machine, now, why)
        machine = find_machine(connection, machine.key)
    if allocation.state in HELD or (machine is not None and machine.state in GIVEN):
        allocation = move_allocation(connection, ident, _A.RELEASING, now, why)
    if machine is None or machine.state not in GIVEN:
        allocation = move_allocation(connection, ident, _A.RELEASED, now, why)
    return allocation


def drain(connection: Connection, machine: Machine, now: float, why: str) -> None:
    """Tell the machine to drain; one that was never ordered anything has nothing of hers and is deleted."""
    if machine.state not in {_M.CLAIMED, _M.IN_USE}:
        return
    if machine.order_number == 0:
        move_machine(connection, machine.key, _M.DELETING, now, f"{why}; it had no order yet")
        return
    move_machine(connection, machine.key, _M.DRAINING, now, why)
    order(connection, machine.key, "release", now)


def order(connection: Connection, key: str, kind: str, now: float) -> None:
    """Put a new order on the machine's desk, with the next number."""
    number = find_machine(connection, key).order_number + 1
    change_machine(connection, key, order_number=number, order_kind=kind, order_at=now)


def renew(connection: Connection, ident: str, now: float, lease_seconds: float) -> None:
    """Renew the lease of an allocation that is not over."""
    if find_allocation(connection, ident).state in OPEN:
        change_allocation(connection, ident, lease_until=now + lease_seconds)


def fail(connection: Connection, ident: str, now: float, problem: AlcError) -> Allocation:
    """Fail an allocation that is open or releasing, and drain its machine if it still lives."""
    allocation = find_allocation(connection, ident)
    if allocation.state not in OPEN | {_A.RELEASING}:
        return allocation
    if allocation.machine is not None:
        drain(connection, find_machine(connection, allocation.machine), now, str(problem))
    if allocation.state is _A.RELEASING:  # asked for anyway: only how it ended is news
        change_allocation(connection, ident, problem=problem.as_json())
        return find_allocation(connection, ident)
    return move_allocation(connection, ident, _A.FAILED, now, str(problem), problem=problem.as_json())


def person_of(connection: Connection, allocation: Allocation) -> Person:
    """The person an allocation is for; she has had a number since the claim."""
    person = find_person(connection, allocation.user)
    if person is None:  # written in the claim's own transaction
        raise NotFound("There is no such person.", next_step="Start the server again.")
    return person


def finish(connection: Connection, ident: str, now: float) -> None:
    """Mark a releasing allocation released once its machine has nothing of hers any more."""
    allocation = find_allocation(connection, ident)
    if allocation.state is not _A.RELEASING:
        return
    machine = None if allocation.machine is None else find_machine(connection, allocation.machine)
    if machine is None or machine.state not in GIVEN:
        move_allocation(connection, ident, _A.RELEASED, now, allocation.why or "released")
