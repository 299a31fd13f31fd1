"""The only place that writes a state: each move checked against the table of moves, each with one line in the log."""

from __future__ import annotations

import logging
from typing import Any

from sqlalchemy import Connection, update

from jupyter_alc.core.states import ALLOCATION_MOVES, MACHINE_MOVES, AllocationState, MachineState, check_move
from jupyter_alc.vmm.rows import HELD, OVER, Allocation, Machine, find_allocation, find_machine
from jupyter_alc.vmm.schema import ALLOCATION, MACHINE

log = logging.getLogger(__name__)


def move_machine(connection: Connection, key: str, then: MachineState, now: float, why: str, **changes: Any) -> Machine:
    """Move a machine and return its row; raises `IllegalMove`, and `NotFound` for an unknown key."""
    machine = find_machine(connection, key)
    check_move(MACHINE_MOVES, machine.state, then, f"Machine {key}")
    values: dict[str, Any] = {"state": then, "moved": now, "tried_at": None, **changes}
    if then is MachineState.GONE:
        values["gone_at"] = now
    connection.execute(update(MACHINE).where(MACHINE.c.key == key).values(**values))
    log.info("machine %s (%s): %s -> %s: %s", key, machine.type, machine.state, then, why)
    return find_machine(connection, key)


def move_allocation(
    connection: Connection, ident: str, then: AllocationState, now: float, why: str, **changes: Any
) -> Allocation:
    """Move an allocation and return its row; erases its secrets when nobody needs them any more."""
    allocation = find_allocation(connection, ident)
    check_move(ALLOCATION_MOVES, allocation.state, then, f"Allocation {ident}")
    values: dict[str, Any] = {"state": then, "moved": now, "why": why, **changes}
    if then is AllocationState.READY or then not in HELD:
        values["secrets"] = None
    if then in OVER or then is AllocationState.FAILED:
        values["over_at"] = now
    connection.execute(update(ALLOCATION).where(ALLOCATION.c.id == ident).values(**values))
    log.info("allocation %s (machine %s): %s -> %s: %s", ident, allocation.machine, allocation.state, then, why)
    return find_allocation(connection, ident)


def change_machine(connection: Connection, key: str, **changes: Any) -> None:
    """Write what is no state."""
    connection.execute(update(MACHINE).where(MACHINE.c.key == key).values(**changes))


def change_allocation(connection: Connection, ident: str, **changes: Any) -> None:
    """Write what is no state."""
    connection.execute(update(ALLOCATION).where(ALLOCATION.c.id == ident).values(**changes))
