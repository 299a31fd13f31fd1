"""The one store: every public call is one transaction, safe from any thread and from any process of this host."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, delete, insert, select
from sqlalchemy.exc import OperationalError

from jupyter_alc.core.errors import AlcError, Denied, NotFound
from jupyter_alc.core.full_disk import disk_is_full, is_full_disk
from jupyter_alc.core.states import AllocationState, MachineState
from jupyter_alc.vmm import claims, reports
from jupyter_alc.vmm.moves import change_machine, move_machine
from jupyter_alc.vmm.orders import order_json
from jupyter_alc.vmm.rows import (
    OPEN,
    Allocation,
    Machine,
    allocations_in,
    allocations_of,
    find_allocation,
    find_machine,
    latest_move,
    living_machines,
    recent_machines,
)
from jupyter_alc.vmm.schema import ALLOCATION, MACHINE, STAGE, open_engine
from jupyter_alc.vmm.stages import allocation_json, stages_done, usual_seconds
from jupyter_alc.vmm.timing import Timing
from jupyter_alc.vmm.tokens import digest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from sqlalchemy import Engine

    from jupyter_alc.core.clock import Clock
    from jupyter_alc.vmm.people import Person
    from jupyter_alc.vmm.types import MachineType

_A, _M = AllocationState, MachineState


@dataclass(frozen=True, slots=True)
class Rows:
    """What the plan looks at: all living machines, those that went last, each allocation that is open or releasing."""

    machines: tuple[Machine, ...]
    recent: tuple[Machine, ...]
    allocations: tuple[Allocation, ...]


class Store:
    """Machines, allocations and people in one SQLite file; blocking, so call it from a worker thread."""

    def __init__(self, path: Path, clock: Clock, timing: Timing | None = None, hub: str = "hub") -> None:
        self._engine = open_engine(path)
        self._writer = self._engine.execution_options(write=True)
        self._clock = clock
        self.timing = timing or Timing()
        self._hub = hub
        self.deaf_at = 0.0  # when it could last not take what it was told, because its disk was full
        with self._read() as connection:
            latest = latest_move(connection)
        self._ahead = max(clock.now().timestamp(), latest) - clock.monotonic()

    def close(self) -> None:
        """Close every connection; nothing committed is lost without it."""
        self._engine.dispose()

    def now(self) -> float:
        """Seconds since 1970 as the wall clock told them at the start, and from then on by the steady clock.

        So a wall clock that is set anew, or a computer that slept, ends no lease; and time never runs behind the rows.
        """
        return self._ahead + self._clock.monotonic()

    def _write(self) -> AbstractContextManager[Connection]:
        return self._transaction(self._writer)

    def _read(self) -> AbstractContextManager[Connection]:
        return self._transaction(self._engine)

    @contextmanager
    def _transaction(self, engine: Engine) -> Iterator[Connection]:
        """All or nothing; on a full disk nothing, and `NoSpace`."""
        try:
            with engine.begin() as connection:
                yield connection
        except OperationalError as error:
            if not is_full_disk(error.orig):
                raise
            self.deaf_at = self.now()
            raise disk_is_full("the machine service") from error

    # --- the spawner and the people ---

    def claim(self, asked: claims.Claim, types: Mapping[str, MachineType]) -> tuple[Allocation, bool]:
        """Claim a machine; see `claims.claim`."""
        with self._write() as connection:
            lease = self.timing.lease_seconds
            return claims.claim(connection, asked, types, hub=self._hub, now=self.now(), lease_seconds=lease)

    def release(self, ident: str, why: str) -> Allocation:
        """Begin the release of an allocation; safe to repeat. `NotFound` for an unknown id."""
        with self._write() as connection:
            return claims.release(connection, ident, self.now(), why)

    def renew(self, ident: str) -> None:
        """Renew a lease. `NotFound` for an unknown id."""
        with self._write() as connection:
            claims.renew(connection, ident, self.now(), self.timing.lease_seconds)

    def allocation(self, ident: str, owner: str | None = None) -> Allocation:
        """Return an allocation; with `owner`, another person's is `NotFound` like an unknown one."""
        with self._read() as connection:
            found = find_allocation(connection, ident)
        if owner is not None and found.user != owner:
            raise NotFound("There is no such allocation.", next_step="Start the server again to get a machine.")
        return found

    def allocations_of(self, user: str, server: str | None = None) -> list[Allocation]:
        """Return one person's newest allocations, newest first."""
        with self._read() as connection:
            return allocations_of(connection, user, server)

    def told(self, allocations: Sequence[Allocation]) -> list[dict[str, Any]]:
        """Return allocations as REST tells them, stages and usual times included."""
        with self._read() as connection:
            usual = usual_seconds(connection)
            return [allocation_json(one, stages_done(connection, one.id), usual) for one in allocations]

    def usual_seconds(self) -> dict[tuple[str, str], float]:
        """Return the medians by (machine type, stage or `boot`)."""
        with self._read() as connection:
            return usual_seconds(connection)

    def may_be_served(self, user: str) -> bool:
        """Say whether isolation allows this person a machine here."""
        with self._read() as connection:
            try:
                claims.check_alone(connection, user, living_machines(connection))
            except AlcError:
                return False
        return True

    # --- the agent ---

    def enrol(self, key: str, token: str) -> str:
        """Return the machine's secret, once; `Denied` otherwise."""
        with self._write() as connection:
            secret, why = reports.enrol(connection, key, token, self.now(), self.timing.launch_seconds)
        if secret is None:
            raise reports.refuse_enrolment(key, why)
        return secret

    def admit(self, key: str, secret: str) -> Machine:
        """Return the machine that this secret proves; `Denied` otherwise."""
        with self._read() as connection:
            return reports.admit(connection, key, secret)

    def report(self, key: str, report: reports.Report) -> None:
        """Take an agent's report."""
        with self._write() as connection:
            reports.take(connection, key, report, self.now(), self.timing.lease_seconds)

    def order_after(self, key: str, after: int, types: Mapping[str, MachineType], vmm_url: str) -> tuple[int, Any]:
        """Return the number of the newest order and, if it is above `after`, the order; notes the sign of life."""
        with self._write() as connection:
            machine = find_machine(connection, key)
            if machine.state is _M.GONE:
                raise Denied("This machine is gone.", next_step="Nothing.")
            change_machine(connection, key, last_seen=self.now())
            if machine.order_number <= after:
                return machine.order_number, None
            return machine.order_number, order_json(connection, machine, types, vmm_url, self.timing)

    # --- the keeper ---

    def rows(self) -> Rows:
        """Return what the plan looks at."""
        with self._read() as connection:
            return Rows(
                tuple(living_machines(connection)),
                tuple(recent_machines(connection)),
                tuple(allocations_in(connection, OPEN | {_A.RELEASING})),
            )

    def add_machine(self, key: str, type_id: str, token: str, max_total: int) -> bool:
        """Commit the row of a machine that will be asked for; False, and no row, when the type is at its cap."""
        with self._write() as connection:
            if sum(one.type == type_id for one in living_machines(connection)) >= max_total:
                return False
            values = {"key": key, "type": type_id, "state": _M.REQUESTED, "token_hash": digest(token)}
            connection.execute(insert(MACHINE).values(**values, created=self.now(), moved=self.now()))
            return True

    def move(self, key: str, then: MachineState, why: str, **changes: Any) -> Machine:
        """Move a machine; `IllegalMove` when it may not."""
        with self._write() as connection:
            return move_machine(connection, key, then, self.now(), why, **changes)

    def change(self, key: str, **changes: Any) -> None:
        """Write what is no state of a machine."""
        with self._write() as connection:
            change_machine(connection, key, **changes)

    def machine(self, key: str) -> Machine:
        """Return a machine; `NotFound` for an unknown key."""
        with self._read() as connection:
            return find_machine(connection, key)

    def person(self, allocation: Allocation) -> Person:
        """Return the person an allocation is for."""
        with self._read() as connection:
            return claims.person_of(connection, allocation)

    def hand_over(self) -> list[Allocation]:
        """Give ready machines to those who wait."""
        with self._write() as connection:
            return reports.hand_over(connection, self.now())

    def order_claim(self, key: str, allocation: str, home_path: str, dms_path: str) -> bool:
        """Give the claim's order now that the volumes are attached; False when the claim is over meanwhile."""
        with self._write() as connection:
            machine = find_machine(connection, key)
            if machine.state is not _M.CLAIMED or machine.allocation != allocation:
                return False
            change_machine(connection, key, home_path=home_path, dms_path=dms_path)
            claims.order(connection, key, "claim", self.now())
            return True

    def order_release(self, key: str) -> None:
        """Tell a draining machine to try again."""
        with self._write() as connection:
            if find_machine(connection, key).state is _M.DRAINING:
                claims.order(connection, key, "release", self.now())

    def fail_machine(self, key: str, why: str, problem: AlcError) -> None:
        """Fail a machine, and the allocation it was for."""
        with self._write() as connection:
            machine = move_machine(connection, key, _M.FAILED, self.now(), why, fault=why)
            if machine.allocation is not None:
                claims.fail(connection, machine.allocation, self.now(), problem)

    def fail_allocation(self, ident: str, problem: AlcError) -> None:
        """Fail an allocation; its machine is drained."""
        with self._write() as connection:
            claims.fail(connection, ident, self.now(), problem)

    def finish(self, ident: str) -> None:
        """A releasing allocation whose machine is being deleted or is gone is released."""
        with self._write() as connection:
            claims.finish(connection, ident, self.now())

    def tidy(self, keep_seconds: float = 7 * 86_400.0) -> None:
        """Forget what has been over for a week, and write erased secrets out of the log file of the store."""
        before = self.now() - keep_seconds
        with self._write() as connection:
            old = select(ALLOCATION.c.id).where(ALLOCATION.c.over_at < before)
            connection.execute(delete(STAGE).where(STAGE.c.allocation.in_(old)))
            connection.execute(delete(ALLOCATION).where(ALLOCATION.c.over_at < before))
            used = select(ALLOCATION.c.machine).where(ALLOCATION.c.machine.is_not(None))
            connection.execute(delete(MACHINE).where(MACHINE.c.gone_at < before, MACHINE.c.key.not_in(used)))
        raw = self._engine.raw_connection()
        try:
            raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").close()
        finally:
            raw.close()
