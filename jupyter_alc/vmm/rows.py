"""Machines and allocations as they stand in the store: frozen values for the plan, the service and the keeper."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Connection, Select, func, select

from jupyter_alc.core.errors import NotFound
from jupyter_alc.core.states import AllocationState, MachineState
from jupyter_alc.vmm.people import Person
from jupyter_alc.vmm.schema import ALLOCATION, MACHINE, PERSON

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_M, _A = MachineState, AllocationState

BOOTING: Final = frozenset({_M.REQUESTED, _M.BUILDING, _M.CONFIGURING})
WARM: Final = BOOTING | {_M.READY}
GIVEN: Final = frozenset({_M.CLAIMED, _M.IN_USE, _M.DRAINING})
HELD: Final = frozenset({_A.CLAIMED, _A.MOUNTING, _A.STARTING, _A.READY})  # somebody has or gets a machine
OPEN: Final = HELD | {_A.QUEUED}
OVER: Final = frozenset({_A.RELEASED, _A.REFUSED})


@dataclass(frozen=True, slots=True)
class Machine:
    """One row of the machine table; times are seconds since 1970."""

    key: str
    type: str
    state: MachineState
    created: float
    moved: float
    ready_at: float | None = None
    gone_at: float | None = None
    fence: int = 0
    allocation: str | None = None
    person: str | None = None
    address: str | None = None
    isolation: str | None = None
    limits: Mapping[str, Any] | None = None
    self_test: Mapping[str, Any] | None = None
    last_seen: float | None = None
    token_hash: str = field(default="", repr=False)
    token_used_at: float | None = None
    secret_hash: str | None = field(default=None, repr=False)
    order_number: int = 0
    order_kind: str | None = None
    order_at: float | None = None
    home_path: str | None = None
    dms_path: str | None = None
    attach_tries: int = 0
    destroy_tries: int = 0
    tried_at: float | None = None
    drained_at: float | None = None
    unsent: list[Any] | None = None
    fault: str | None = None


@dataclass(frozen=True, slots=True)
class Allocation:
    """One row of the allocation table; `secrets` holds what must never be shown."""

    id: str
    user: str
    server: str
    spawn: str
    type: str
    state: AllocationState
    created: float
    moved: float
    lease_until: float
    machine: str | None = None
    fence: int | None = None
    claimed_at: float | None = None
    over_at: float | None = None
    url: str | None = None
    problem: Mapping[str, Any] | None = None
    why: str | None = None
    secrets: Mapping[str, Any] | None = field(default=None, repr=False)


_MACHINE_COLUMNS: Final = [MACHINE.c[one.name] for one in fields(Machine)]
_ALLOCATION_COLUMNS: Final = [ALLOCATION.c[one.name] for one in fields(Allocation)]


def _machines(connection: Connection, query: Select[Any]) -> list[Machine]:
    rows = connection.execute(query).mappings()
    return [Machine(**{**row, "state": MachineState(row["state"])}) for row in rows]


def _allocations(connection: Connection, query: Select[Any]) -> list[Allocation]:
    rows = connection.execute(query).mappings()
    return [Allocation(**{**row, "state": AllocationState(row["state"])}) for row in rows]


def living_machines(connection: Connection) -> list[Machine]:
    """Every machine that is not gone, oldest first."""
    query = select(*_MACHINE_COLUMNS).where(MACHINE.c.state != _M.GONE).order_by(MACHINE.c.created, MACHINE.c.key)
    return _machines(connection, query)


def recent_machines(connection: Connection, limit: int = 100) -> list[Machine]:
    """The machines that went last, newest first: the memory of bad boots."""
    query = select(*_MACHINE_COLUMNS).where(MACHINE.c.state == _M.GONE).order_by(MACHINE.c.created.desc()).limit(limit)
    return _machines(connection, query)


def find_machine(connection: Connection, key: str) -> Machine:
    """The machine with this key; `NotFound` when there is none."""
    found = _machines(connection, select(*_MACHINE_COLUMNS).where(MACHINE.c.key == key))
    if not found:
        raise NotFound("There is no such machine.", next_step="Look at the list of machines again.")
    return found[0]


def find_allocation(connection: Connection, ident: str) -> Allocation:
    """The allocation with this id; `NotFound` when there is none."""
    found = _allocations(connection, select(*_ALLOCATION_COLUMNS).where(ALLOCATION.c.id == ident))
    if not found:
        raise NotFound("There is no such allocation.", next_step="Start the server again to get a machine.")
    return found[0]


def allocations_in(connection: Connection, states: Iterable[AllocationState]) -> list[Allocation]:
    """Every allocation in one of these states, oldest first."""
    query = select(*_ALLOCATION_COLUMNS).where(ALLOCATION.c.state.in_(list(states)))
    return _allocations(connection, query.order_by(ALLOCATION.c.created, ALLOCATION.c.id))


def allocations_of(connection: Connection, user: str, server: str | None = None, limit: int = 20) -> list[Allocation]:
    """One person's newest allocations, newest first."""
    query = select(*_ALLOCATION_COLUMNS).where(ALLOCATION.c.user == user)
    if server is not None:
        query = query.where(ALLOCATION.c.server == server)
    return _allocations(connection, query.order_by(ALLOCATION.c.created.desc(), ALLOCATION.c.id).limit(limit))


def latest_move(connection: Connection) -> float:
    """When anything moved last; 0 in an empty store."""
    moves = [connection.execute(select(func.max(table.c.moved))).scalar_one() for table in (MACHINE, ALLOCATION)]
    return max(one or 0.0 for one in moves)


def find_person(connection: Connection, name: str) -> Person | None:
    """The person with this Hub name, if she was ever served."""
    number = connection.execute(select(PERSON.c.number).where(PERSON.c.name == name)).scalar_one_or_none()
    return None if number is None else Person(name, number)
