"""The routes: parse, ask, answer. Described in `jupyter_alc/vmm/openapi.yaml`."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from jupyter_alc.core.errors import BadInput
from jupyter_alc.vmm.claims import Claim
from jupyter_alc.vmm.reports import Report
from jupyter_alc.vmm.service import checks
from jupyter_alc.vmm.service.base import AgentHandler, Handler, HubHandler, UserHandler
from jupyter_alc.vmm.stages import STAGES, iso

if TYPE_CHECKING:
    from jupyter_alc.vmm.rows import Machine

EVENTS = ("ready", "stage", "failed", "drained", "heartbeat")


class Health(Handler):
    """Whether VMM is there and keeps its pools."""

    async def get(self) -> None:
        """Tell it; nothing about anybody."""
        self.query()
        await self.desk.ask(self.desk.store.usual_seconds)
        problem = self.desk.keeper.cloud_problem
        self.tell({"ok": True, "cloud": "down" if problem else "up", "closing": self.desk.keeper.closing})


class Allocations(HubHandler):
    """Claims, for the spawner."""

    async def get(self) -> None:
        """One person's newest allocations, of one server or of all."""
        told = self.query(required=("user",), optional=("server",))
        found = await self.desk.ask(self.desk.store.allocations_of, told["user"], told.get("server"))
        self.tell({"allocations": await self.desk.ask(self.desk.store.told, found)})

    async def post(self) -> None:
        """Claim a machine: 201 for a new allocation, 200 for one that this claim made before."""
        asked = checks.record(
            self.body(),
            "",
            {
                "user": checks.text(255, 1),
                "server": checks.text(64),
                "spawn": checks.spawn,
                "machine_type": checks.text(63, 1),
            },
            {"data": _data, "server_start": _server_start},
        )
        secrets: dict[str, Any] = {name: asked.pop(name) for name in ("data", "server_start") if name in asked}
        allocation, new = await self.desk.ask(self.desk.store.claim, Claim(**asked, secrets=secrets), self.desk.types)
        self.desk.keeper.wake()
        self.desk.bells.ring("")  # an older start of the same server may have to go
        self.tell(await self.desk.told(allocation), 201 if new else 200)


def _data(told: object, field: str) -> dict[str, Any]:
    return checks.record(told, field, {"datasets": checks.listed(checks.dataset, 200)})


def _server_start(told: object, field: str) -> dict[str, Any]:
    return checks.record(
        told, field, {}, {"environment": checks.texts_by_name(500), "args": checks.listed(checks.longtext(4000), 100)}
    )


class AllocationById(HubHandler):
    """One claim, for the spawner."""

    async def get(self, ident: str) -> None:
        """Tell it, and renew its lease."""
        self.query()
        await self.desk.ask(self.desk.store.renew, ident)
        self.tell(await self.desk.told(await self.desk.ask(self.desk.store.allocation, ident)))

    async def delete(self, ident: str) -> None:
        """Begin its release; safe to repeat."""
        self.query()
        self.tell(await self.desk.release(ident, "the Hub asked for it"), 202)


class Credentials(HubHandler):
    """New session keys for a claim's datasets, on their way to its machine."""

    async def put(self, ident: str) -> None:
        """Keep them in memory until the machine has them."""
        asked = checks.record(self.body(), "", {"datasets": checks.credentials_by_dataset})
        allocation = await self.desk.ask(self.desk.store.allocation, ident)
        if allocation.machine is not None:
            self.desk.renewals.put(allocation.machine, allocation.id, asked["datasets"])
        self.tell({}, 202)


class MachineTypes(HubHandler):
    """The offers to one person, for the form."""

    async def get(self) -> None:
        """Tell them."""
        told = self.query(required=("user",))
        self.tell({"machine_types": await self.desk.offers(told["user"])})


class Machines(HubHandler):
    """Every machine that is not gone, for the operator."""

    async def get(self) -> None:
        """Tell them."""
        self.query()
        rows = await self.desk.ask(self.desk.store.rows)
        self.tell({"machines": [machine_json(one) for one in rows.machines]})


def machine_json(machine: Machine) -> dict[str, Any]:
    """Return a machine as REST tells it to the operator: never a secret."""
    return {
        "key": machine.key,
        "type": machine.type,
        "state": str(machine.state),
        "person": machine.person,
        "allocation": machine.allocation,
        "isolation": machine.isolation,
        "limits": machine.limits,
        "address": machine.address,
        "created": iso(machine.created),
        "ready_at": iso(machine.ready_at),
        "last_seen": iso(machine.last_seen),
        "unsent": len(machine.unsent or []),
        "fault": machine.fault,
    }


class Close(HubHandler):
    """The end of an instance."""

    async def post(self) -> None:
        """Make nothing more, release and end everything; say how many machines are left, and what stays unsent."""
        checks.record(self.body() if self.request.body else {}, "", {})
        since = self.desk.keeper.close()
        rows = await self.desk.ask(self.desk.store.rows)
        drained = (one for one in (*rows.machines, *rows.recent) if one.drained_at and one.drained_at >= since)
        unsent = sum(len(one.unsent or ()) for one in drained)
        self.tell({"machines": len(rows.machines), "allocations": len(rows.allocations), "unsent": unsent}, 202)


class Enrol(Handler):
    """A new machine proves itself by its one-use token."""

    async def post(self) -> None:
        """Give the machine its secret, once."""
        told = checks.record(self.body(), "", {"key": checks.text(64, 1), "token": checks.text(200, 1)})
        secret = await self.desk.ask(self.desk.store.enrol, told["key"], told["token"])
        self.tell({"machine_secret": secret})


class Reports(AgentHandler):
    """What an agent tells."""

    async def post(self) -> None:
        """Take it."""
        told = self.body()
        taken = checks.whole(0, 1 << 62)(told.pop("renewed", 0), "renewed")
        report = report_of(told)
        await self.desk.ask(self.desk.store.report, self.machine.key, report)
        if report.event != "heartbeat" or not report.server_alive:
            self.desk.keeper.wake(look=report.event in {"ready", "drained", "failed"})
            self.desk.bells.ring(self.machine.key)
        renewal = None
        if report.event == "heartbeat":
            renewal = self.desk.renewals.after(self.machine.key, report.allocation, taken)
        self.tell({"renewal": {"number": renewal.number, "datasets": renewal.datasets}} if renewal else {})


def _stage(told: object, field: str) -> dict[str, Any]:
    return checks.record(told, field, {"name": checks.one_of(*STAGES)}, {"seconds": checks.seconds})


def report_of(body: dict[str, Any]) -> Report:
    """Read a report; null is as absent."""
    told = checks.record(
        {name: value for name, value in body.items() if value is not None},
        "",
        {"event": checks.one_of(*EVENTS)},
        {
            "allocation": checks.text(64, 1),
            "fence": checks.whole(0, 1 << 62),
            "stage": _stage,
            "url": checks.text(2000, 1),
            "problem": checks.bounded_object(16_384),
            "unsent": checks.listed(checks.anything(8192), 10_000),
            "self_test": checks.bounded_object(65_536),
            "server_alive": checks.flag,
        },
    )
    stage = told.pop("stage", None)
    if told["event"] == "stage" and (stage is None or "allocation" not in told):
        raise BadInput("A stage report lacks its stage or allocation.", next_step="Send both.", field="stage")
    if stage is not None:
        told = {**told, "stage": stage["name"], "seconds": stage.get("seconds", 0.0)}
    return Report(**told)


class Orders(AgentHandler):
    """What an agent is told."""

    _gone = False
    _bell: asyncio.Event | None = None

    async def get(self) -> None:
        """Answer the newest order above `after`, at once or within the poll time."""
        after = _number(self.query(optional=("after",)).get("after", "0"))
        key = self.machine.key
        deadline = asyncio.get_running_loop().time() + self.desk.store.timing.orders_seconds
        self._bell = bell = self.desk.bells.wait_for(key)
        try:
            while True:
                bell.clear()
                number, order = await self.desk.ask(
                    self.desk.store.order_after, key, after, self.desk.types, self.desk.machine_url
                )
                left = deadline - asyncio.get_running_loop().time()
                if order is not None or left <= 0 or self._gone:
                    break
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(bell.wait(), left)
        finally:
            self.desk.bells.give_back(key, bell)
        if not self._gone:
            self.tell({"number": number, "order": order})

    def on_connection_close(self) -> None:
        """Stop waiting for an agent that went."""
        self._gone = True
        if self._bell is not None:
            self._bell.set()


def _number(told: str) -> int:
    if not (told.isascii() and told.isdigit() and len(told) <= 18):
        raise BadInput("after is not a number.", next_step="Send the number of the last order, or 0.", field="after")
    return int(told)


class MyMachineTypes(UserHandler):
    """The offers to me."""

    async def get(self) -> None:
        """Tell them."""
        self.query()
        self.tell({"machine_types": await self.desk.offers(self.user)})


class MyAllocations(UserHandler):
    """My claims."""

    async def get(self) -> None:
        """Tell the newest."""
        self.query()
        found = await self.desk.ask(self.desk.store.allocations_of, self.user)
        self.tell({"allocations": await self.desk.ask(self.desk.store.told, found)})


class MyAllocation(UserHandler):
    """One claim of mine; another's is as one that is not there."""

    async def get(self, ident: str) -> None:
        """Tell it."""
        self.query()
        self.tell(await self.desk.told(await self.desk.ask(self.desk.store.allocation, ident, self.user)))

    async def delete(self, ident: str) -> None:
        """Begin its release."""
        self.query()
        await self.desk.ask(self.desk.store.allocation, ident, self.user)
        self.tell(await self.desk.release(ident, "its owner asked for it"), 202)


ROUTES: list[tuple[str, type[Handler]]] = [
    ("/v1/health", Health),
    ("/v1/allocations", Allocations),
    ("/v1/allocations/([^/]{1,64})", AllocationById),
    ("/v1/allocations/([^/]{1,64})/credentials", Credentials),
    ("/v1/machine-types", MachineTypes),
    ("/v1/machines", Machines),
    ("/v1/close", Close),
    ("/v1/agent/enrol", Enrol),
    ("/v1/agent/report", Reports),
    ("/v1/agent/orders", Orders),
    ("/v1/me/machine-types", MyMachineTypes),
    ("/v1/me/allocations", MyAllocations),
    ("/v1/me/allocations/([^/]{1,64})", MyAllocation),
]
