"""A store in a temporary folder, a clock that a test moves, and a keeper that does one pass when told."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from jupyter_alc.core.errors import AlcError, IllegalMove, NotFound
from jupyter_alc.core.states import MachineState
from jupyter_alc.testing.simulated_cloud import SimulatedCloud
from jupyter_alc.vmm import plan
from jupyter_alc.vmm.acts import Acts
from jupyter_alc.vmm.claims import Claim
from jupyter_alc.vmm.reports import Report
from jupyter_alc.vmm.store import Store
from jupyter_alc.vmm.timing import Timing
from jupyter_alc.vmm.types import MachineType, types_by_id

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SMALL = MachineType("small", "General", cores=2, memory_bytes=3 * 10**9, environment="spark", min_ready=1, max_total=3)
TIMING = Timing()


class HandClock:
    """Time passes when a test says so; `set_by` is how far somebody has set the wall clock forward or back."""

    def __init__(self) -> None:
        self.seconds = 1_800_000_000.0
        self.set_by = 0.0

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.seconds + self.set_by, UTC)

    def monotonic(self) -> float:
        return self.seconds


class Small:
    """VMM without its loop and its sockets: one keeper pass at a time, agents that answer when told."""

    def __init__(self, folder: Path, types: tuple[MachineType, ...] = (SMALL,), isolation: str = "simulated") -> None:
        self.path = folder / "vmm.sqlite"
        self.clock = HandClock()
        self.types = types_by_id(types)
        self.cloud = SimulatedCloud(isolation=isolation)
        self.numbers = itertools.count()
        self.secrets: dict[str, str] = {}
        self.reopen()

    def reopen(self) -> None:
        """As after kill -9: what is not in the store is forgotten."""
        if hasattr(self, "store"):
            self.store.close()
        self.store = Store(self.path, self.clock, TIMING)
        self.acts = Acts(self.store, self.cloud, self.types, "http://vmm", lambda kind: f"{kind}-{next(self.numbers)}")
        self.view: plan.View | None = None
        self.previous: plan.View | None = None
        self.strangers: dict[str, plan.Sighting] = {}
        self.since = self.store.now()
        self.closing = False

    def look(self) -> None:
        last = self.view or self.previous
        try:
            view = plan.View(self.store.now(), {one.key: one for one in self.cloud.machines()})
        except AlcError:
            self.previous, self.view = last, None
            return
        self.previous, self.view = last, view
        self.strangers = plan.strangers_of(self.strangers, self.store.rows(), view, self.store.now())

    def world(self) -> plan.World:
        return plan.World(
            rows=self.store.rows(),
            view=self.view,
            previous=self.previous,
            types=self.types,
            timing=TIMING,
            now=self.store.now(),
            since=self.since,
            strangers=self.strangers,
            closing=self.closing,
        )

    def keep(self, seconds: float = 1.0) -> list[plan.Action]:
        """One pass: look, decide, act."""
        self.clock.seconds += seconds
        self.look()
        actions = plan.decide(self.world())
        for action in actions:
            try:
                self.act(action)
            except (IllegalMove, NotFound):
                continue
        return actions

    def act(self, action: plan.Action) -> None:
        if isinstance(action, plan.Create):
            row = self.acts.new_row(action.type)
            if row is not None:
                self.acts.create(*row, action.type)
        elif isinstance(action, plan.Prepare):
            self.acts.prepare(action.key, action.allocation)
        elif isinstance(action, plan.Destroy):
            self.acts.destroy(action.key)
        elif isinstance(action, plan.DestroyStranger):
            self.acts.destroy_stranger(action.key)
        else:
            self.acts.quick(action)

    def wake_up(self, key: str) -> None:
        """The machine's agent enrols and says that it is ready."""
        self.secrets[key] = self.store.enrol(key, self.cloud.user_data(key)["enrolment_token"])
        self.store.report(key, Report("ready"))

    def agents(self) -> None:
        """Every agent does what there is to do."""
        for machine in self.store.rows().machines:
            if machine.key not in self.cloud.keys:
                continue
            try:
                self.agent(machine.key)
            except AlcError:
                continue

    def agent(self, key: str) -> None:
        machine = self.store.machine(key)
        if machine.state in {MachineState.REQUESTED, MachineState.BUILDING}:
            self.wake_up(key)
        self.store.report(key, Report("heartbeat"))
        _, order = self.store.order_after(key, 0, self.types, "http://vmm")
        if order is None:
            return
        mine = {"allocation": order["allocation"], "fence": order["fence"]}
        if order["kind"] == "release":
            self.store.report(key, Report("drained", unsent=[], **mine))
            return
        for name in ("account", "mount", "proof"):
            self.store.report(key, Report("stage", stage=name, seconds=0.1, **mine))
        self.store.report(key, Report("ready", url="http://127.0.0.1:8888/", **mine))

    def settle(self, passes: int = 12) -> None:
        for _ in range(passes):
            self.keep()
            self.agents()

    def claim(self, user: str, spawn: str = "1", server: str = "", type_id: str = "small") -> str:
        self.clock.seconds += 0.001
        secrets = {"server_start": {"environment": {"JUPYTERHUB_API_TOKEN": "hush"}}}
        return self.store.claim(Claim(user, server, spawn, type_id, secrets), self.types)[0].id


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Small]:
    made = Small(tmp_path)
    yield made
    made.store.close()
