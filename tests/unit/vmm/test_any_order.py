"""Whatever happens in whatever order: never two people on a machine, never above the cap, and it comes to rest."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from jupyter_alc.core.errors import AlcError, Conflict, Missing, PoolExhausted, Unavailable
from jupyter_alc.core.states import MachineState
from jupyter_alc.vmm.reports import Report
from jupyter_alc.vmm.rows import HELD
from jupyter_alc.vmm.types import MachineType
from tests.unit.vmm.conftest import TIMING, Small

pytestmark = [pytest.mark.unit, pytest.mark.timeout(600)]

KINDS = (
    MachineType("small", "General", 1, 10**9, "python", min_ready=1, max_total=3),
    MachineType("large", "Large", 1, 10**9, "python", min_ready=2, max_total=2),
)
USERS = st.sampled_from(["ada", "ada", "brahe", "cora"])
MEMORY = Path("/dev/shm")  # every commit is an fsync, and here kills are simulated
PICK = st.integers(0, 20)
CALLS = st.sampled_from(["create", "machines", "attach", "destroy"])


class AnyOrder(RuleBasedStateMachine):
    """The store and the simulated cloud under random orders of events, kills of VMM included."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="alc-vmm-", dir=MEMORY if MEMORY.is_dir() else None))
        self.small = Small(self.folder, KINDS)
        self.spawns = 0
        self.claims: list[str] = []
        self.owners: dict[str, str] = {}

    def teardown(self) -> None:
        self.settles()
        self.small.store.close()
        shutil.rmtree(self.folder)

    def some_machine(self, number: int) -> str | None:
        keys = sorted(self.small.cloud.keys)
        return keys[number % len(keys)] if keys else None

    @rule(user=USERS, kind=st.sampled_from(["small", "large"]), server=st.sampled_from(["", "b"]))
    def claim(self, user: str, kind: str, server: str) -> None:
        self.spawns += 1
        try:
            ident = self.small.claim(user, str(self.spawns), server, kind)
        except (PoolExhausted, Conflict):
            return
        assert self.small.claim(user, str(self.spawns), server, kind) == ident
        self.claims.append(ident)

    @rule(number=PICK)
    def release(self, number: int) -> None:
        if self.claims:
            self.small.store.release(self.claims[number % len(self.claims)], "a test")

    @rule(seconds=st.sampled_from([0.1, 1.0, 5.0, 40.0, TIMING.lease_seconds, TIMING.launch_seconds]))
    def keep(self, seconds: float) -> None:
        self.small.keep(seconds)

    @rule(passes=st.integers(1, 6))
    def a_quiet_while(self, passes: int) -> None:
        self.small.settle(passes)

    @rule(user=USERS, kind=st.sampled_from(["small", "large"]))
    def a_start_and_a_quiet_while(self, user: str, kind: str) -> None:
        self.claim(user, kind, "")
        self.small.settle(3)

    @rule()
    def agents_speak(self) -> None:
        self.small.agents()

    @rule(number=PICK)
    def one_agent_speaks(self, number: int) -> None:
        key = self.some_machine(number)
        if key is not None:
            try:
                self.small.agent(key)
            except AlcError:
                return

    @rule(number=PICK, left=st.booleans(), event=st.sampled_from(["drained", "failed", "ready", "heartbeat"]))
    def an_agent_says_anything(self, number: int, left: bool, event: str) -> None:
        key = self.some_machine(number)
        if key is None:
            return
        try:
            machine = self.small.store.machine(key)
            unsent = [{"path": "a"}] if left else []
            self.small.store.report(
                key, Report(event, machine.allocation, machine.fence, url="http://127.0.0.1:1/", unsent=unsent)
            )
        except AlcError:
            return

    @rule(number=PICK)
    def a_machine_dies(self, number: int) -> None:
        key = self.some_machine(number)
        if key is not None:
            self.small.cloud.kill(key)

    @rule(number=PICK)
    def a_machine_vanishes(self, number: int) -> None:
        key = self.some_machine(number)
        if key is not None:
            self.small.cloud.lose(key)

    @rule(number=PICK, hidden=st.booleans())
    def the_list_forgets_one(self, number: int, hidden: bool) -> None:
        key = self.some_machine(number)
        if key is not None:
            self.small.cloud.hide(key, hidden=hidden)

    @rule(call=CALLS, times=st.integers(1, 4), after=st.booleans(), unknown=st.booleans())
    def the_cloud_fails(self, call: str, times: int, after: bool, unknown: bool) -> None:
        error = Unavailable("No answer.") if unknown else Missing("It does not work.")
        self.small.cloud.fail(call, times, error=error, after=after)

    @rule()
    def a_leak(self) -> None:
        self.small.cloud.leak("stray")

    @rule()
    def vmm_is_killed(self) -> None:
        self.small.reopen()

    @invariant()
    def never_two_people_on_one_machine(self) -> None:
        rows = self.small.store.rows()
        held = [one.machine for one in rows.allocations if one.state in HELD]
        assert len(held) == len(set(held))
        people = [one.person for one in rows.machines if one.person is not None]
        assert len(people) == len(set(people))
        for machine in (*rows.machines, *rows.recent):
            if machine.person is not None:
                assert self.owners.setdefault(machine.key, machine.person) == machine.person

    @invariant()
    def never_above_the_cap(self) -> None:
        for kind in KINDS:
            assert sum(one.type == kind.id for one in self.small.store.rows().machines) <= kind.max_total

    @invariant()
    def no_allocation_without_its_machine(self) -> None:
        rows = self.small.store.rows()
        alive = {one.key: one for one in rows.machines}
        for one in rows.allocations:
            if one.state in HELD:
                assert one.machine in alive
                assert alive[one.machine].allocation == one.id

    def settles(self) -> None:
        """Without new faults everything comes to rest: pools full, no leak, no waiting, every row true."""
        cloud = self.small.cloud
        cloud.faults.left.clear()
        for key in cloud.keys:
            cloud.hide(key, hidden=False)
        for ident in self.claims:
            self.small.store.release(ident, "the end of the test")
        for _ in range(60):
            self.small.keep(10)
            self.small.agents()
        for _ in range(20):
            self.small.keep(60)
            self.small.agents()
        rows = self.small.store.rows()
        ready = [one for one in rows.machines if one.state is MachineState.READY]
        assert not rows.allocations
        assert {one.key for one in rows.machines} == cloud.keys
        for kind in KINDS:
            assert sum(one.type == kind.id for one in ready) == kind.min_ready


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(
    max_examples=25, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
)
