"""What the agent tells, and what it changes: functions of one open write transaction (docs/semantics/vmm.md 4)."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from jupyter_alc.core.errors import AlcError, BadInput, Conflict, Denied, NotFound, from_json
from jupyter_alc.core.states import AllocationState, MachineState
from jupyter_alc.vmm.claims import assign, fail
from jupyter_alc.vmm.moves import change_allocation, change_machine, move_allocation, move_machine
from jupyter_alc.vmm.rows import BOOTING, HELD, Allocation, Machine, find_allocation, find_machine
from jupyter_alc.vmm.stages import BOOT, STAGES, WAITING, note_sample, note_stage
from jupyter_alc.vmm.tokens import digest, new_secret, same

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Connection

log = logging.getLogger(__name__)
_A, _M = AllocationState, MachineState

_REFUSED: Final = "This machine may not enrol."
_AFTER: Final[Mapping[str, AllocationState]] = {"account": _A.MOUNTING, "proof": _A.STARTING}
_WAY: Final = (_A.CLAIMED, _A.MOUNTING, _A.STARTING, _A.READY)


@dataclass(frozen=True, slots=True)
class Report:
    """One message of an agent. `server_alive` is False when a heartbeat says that the person's server has ended."""

    event: str
    allocation: str | None = None
    fence: int | None = None
    stage: str | None = None
    seconds: float = 0.0
    url: str | None = None
    problem: Mapping[str, Any] | None = None
    unsent: list[Any] | None = None
    self_test: Mapping[str, Any] | None = None
    server_alive: bool = True


def enrol(connection: Connection, key: str, token: str, now: float, launch_seconds: float) -> tuple[str | None, str]:
    """Return the machine's secret, or None and why not: the caller commits either way, then refuses.

    A second use of the right token ends a machine that nobody has yet.
    """
    try:
        machine = find_machine(connection, key)
    except NotFound:
        return None, "unknown machine"
    if not same(token, machine.token_hash):
        return None, "wrong token"
    if machine.token_used_at is not None:
        if machine.state in BOOTING | {_M.READY}:
            move_machine(
                connection, key, _M.FAILED, now, "enrolment token used twice", fault="enrolment token used twice"
            )
        return None, "second use of the token"
    if machine.state not in {_M.REQUESTED, _M.BUILDING}:
        return None, f"the machine is {machine.state}"
    if now > machine.created + launch_seconds:
        return None, "token expired"
    secret = new_secret()
    changes = {"token_used_at": now, "secret_hash": digest(secret), "last_seen": now}
    move_machine(connection, key, _M.CONFIGURING, now, "its agent enrolled", **changes)
    return secret, ""


def refuse_enrolment(key: str, why: str) -> Denied:
    """Say loudly in the log why, and nothing to the caller."""
    log.error("enrolment of machine %.64r refused: %s", key, why)
    return Denied(_REFUSED, next_step="Nothing: VMM replaces the machine.")


def admit(connection: Connection, key: str, secret: str) -> Machine:
    """Return the machine that proves itself by its secret; `Denied` for any other."""
    try:
        machine = find_machine(connection, key)
    except NotFound:
        machine = None
    if machine is None or not same(secret, machine.secret_hash) or machine.state is _M.GONE:
        raise Denied("This is not the key of a machine.", next_step="Enrol first.")
    return machine


def take(connection: Connection, key: str, report: Report, now: float, lease_seconds: float) -> None:
    """Do what the report says; raises `Conflict` for a foreign allocation or an old fence, and changes nothing then."""
    change_machine(connection, key, last_seen=now)
    machine = find_machine(connection, key)
    allocation = _checked(connection, machine, report)
    if report.event == "heartbeat":
        _heartbeat(connection, machine, allocation, report, now=now, lease_seconds=lease_seconds)
    elif report.event == "drained":
        _drained(connection, machine, report, now)
    elif allocation is None:
        _about_machine(connection, machine, report, now)
    elif report.event == "failed":
        fail(connection, allocation.id, now, _problem(report))
    else:
        _progress(connection, machine, allocation, report, now=now, lease_seconds=lease_seconds)


def _checked(connection: Connection, machine: Machine, report: Report) -> Allocation | None:
    if report.allocation is None:
        return None
    if report.allocation != machine.allocation or report.fence is None or report.fence < machine.fence:
        log.warning(
            "machine %s reported %s for allocation %.64r: not its own", machine.key, report.event, report.allocation
        )
        raise Conflict("This machine does not have that allocation.", next_step="Ask for orders again.")
    return find_allocation(connection, report.allocation)


def _problem(report: Report) -> AlcError:
    told = dict(report.problem or {"code": "internal", "message": "The machine gave no reason."})
    return from_json(told)


def _heartbeat(
    connection: Connection,
    machine: Machine,
    allocation: Allocation | None,
    report: Report,
    *,
    now: float,
    lease_seconds: float,
) -> None:
    if report.unsent is not None:
        change_machine(connection, machine.key, unsent=report.unsent)
    if allocation is None or allocation.state not in HELD:
        return
    if not report.server_alive:
        fail(connection, allocation.id, now, _problem(report))
    else:
        change_allocation(connection, allocation.id, lease_until=now + lease_seconds)


def _drained(connection: Connection, machine: Machine, report: Report, now: float) -> None:
    if machine.state is not _M.DRAINING:
        return
    change_machine(connection, machine.key, drained_at=now, unsent=report.unsent or [])
    if report.unsent:
        log.warning("machine %s keeps %d unsent files; it will be told to try again", machine.key, len(report.unsent))
        return
    move_machine(connection, machine.key, _M.DELETING, now, "drained, nothing unsent")


def _about_machine(connection: Connection, machine: Machine, report: Report, now: float) -> None:
    if report.event == "failed":
        if machine.state in BOOTING | {_M.READY}:
            reason = _problem(report).line
            move_machine(connection, machine.key, _M.FAILED, now, reason, fault=reason)
        return
    if report.event == "ready" and machine.state is _M.CONFIGURING:
        changes: dict[str, Any] = {"ready_at": now, "self_test": report.self_test}
        move_machine(connection, machine.key, _M.READY, now, "its agent says so after its self-test", **changes)
        note_sample(connection, machine.type, BOOT, now - machine.created)
        hand_over(connection, now)


def hand_over(connection: Connection, now: float) -> list[Allocation]:
    """Give ready machines to those who wait, and note how long they waited."""
    got = assign(connection, now)
    for allocation in got:
        note_stage(connection, allocation, WAITING, now - allocation.created, now)
    return got


def _progress(
    connection: Connection,
    machine: Machine,
    allocation: Allocation,
    report: Report,
    *,
    now: float,
    lease_seconds: float,
) -> None:
    """A stage is done, or the server answers."""
    if allocation.state not in HELD:
        return
    change_allocation(connection, allocation.id, lease_until=now + lease_seconds)
    name = "server" if report.event == "ready" else report.stage
    if name not in STAGES:
        raise BadInput("That is not a stage.", next_step=f"Use one of {', '.join(STAGES)}.", field="stage")
    handed_over = max(0.0, now - (allocation.claimed_at or now) - (0.0 if name == "claimed" else report.seconds))
    note_stage(connection, allocation, "claimed", handed_over, now)  # from the claim to the agent's first work
    note_stage(connection, allocation, name, report.seconds, now)
    if name == "mount":  # where nothing can be mounted the start goes on, and she is told why
        change_allocation(connection, allocation.id, problem=_problem(report).as_json() if report.problem else None)
    if name in _AFTER:
        _advance(connection, allocation, _AFTER[name], now)
    if name == "server" and report.url and allocation.state is not _A.READY:
        changes = {"url": _own_url(machine, report.url)}
        _advance(connection, allocation, _A.STARTING, now)
        move_allocation(connection, allocation.id, _A.READY, now, "the server answers", **changes)
        if machine.state is _M.CLAIMED:
            move_machine(connection, machine.key, _M.IN_USE, now, f"allocation {allocation.id} is ready")


def _own_url(machine: Machine, url: str) -> str:
    """Return the URL if it leads to the machine itself: the proxy goes there, and reaches more than a machine may."""
    try:
        parts = urlsplit(url)
        good = parts.scheme in {"http", "https"} and parts.port and "@" not in parts.netloc
    except ValueError:
        good = False
    if not good or (machine.address is not None and parts.hostname != machine.address):
        log.error("machine %s named a server that is not its own: %.200r", machine.key, url)
        raise BadInput("That is not a server of this machine.", next_step="Name its own address.", field="url")
    return url


def _advance(connection: Connection, allocation: Allocation, goal: AllocationState, now: float) -> None:
    """Walk the listed moves up to `goal`; a report that comes late moves nothing back."""
    state = find_allocation(connection, allocation.id).state
    if state not in _WAY:
        return
    for then in _WAY[_WAY.index(state) + 1 : _WAY.index(goal) + 1]:
        move_allocation(connection, allocation.id, then, now, "the agent said so")
