"""The agent's life: enrol, test, warm up, say ready; then do what VMM orders, for one person only, until the end."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import logging
import os
import platform
import shutil
import signal
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from jupyter_alc.core.errors import AlcError, Conflict, Unavailable
from jupyter_alc.core.full_disk import disk_is_full, is_full_disk
from jupyter_alc.vmm.agent.account import make_account
from jupyter_alc.vmm.agent.data import Data, daemon_installed
from jupyter_alc.vmm.agent.link import Link
from jupyter_alc.vmm.agent.orders import Claim, Release, read_order
from jupyter_alc.vmm.agent.server import Server, WarmParent, has_java

if TYPE_CHECKING:
    from jupyter_alc.vmm.agent.machine import Machine

LOG: Final = logging.getLogger(__name__)
_HEARTBEAT_SECONDS: Final = 10.0
_WATCH_SECONDS: Final = 0.5
_MOST_TOLD: Final = 1000


def self_test() -> dict[str, Any]:
    """What the machine finds about itself; the keeper decides what it makes of it."""
    return {
        "python": platform.python_version(),
        "fuse": _opens("/dev/fuse"),
        "dms": daemon_installed(),
        "spark": importlib.util.find_spec("pyspark") is not None,
        "java": has_java(),
        "free_bytes": shutil.disk_usage("/tmp").free,  # noqa: S108  (asked, not written)
        "clock": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _opens(device: str) -> bool:
    try:
        os.close(os.open(device, os.O_RDWR | os.O_CLOEXEC))
    except OSError:
        return False
    return True


@dataclass(slots=True)
class Fence:
    """Lets one allocation in, for ever, and of its orders none that is older than the newest seen."""

    allocation: str | None = None
    number: int = 0

    def admit(self, allocation: str, number: int) -> None:
        """Accept the order or raise `Conflict`."""
        if self.allocation not in {None, allocation} or number < self.number:
            raise Conflict("This machine is another claim's.", next_step="Take another machine.")
        self.allocation, self.number = allocation, number


@dataclass(slots=True)
class Agent:
    """What the machine is doing now."""

    machine: Machine
    link: Link
    warm: WarmParent
    fence: Fence = field(default_factory=Fence)
    claim: Claim | None = None
    data: Data | None = None
    server: Server | None = None
    unsent: list[dict[str, Any]] | None = None
    _work: asyncio.Task[None] | None = None
    _ready_told: bool = False
    _renewed: int = 0

    async def follow(self) -> None:
        """Take orders for ever. A newer order interrupts what an older one still does."""
        number = 0
        while True:
            try:
                newest, told = await self.link.order_after(number)
            except AlcError as error:  # whatever VMM thinks of us: a person's machine does not end by that
                LOG.warning("VMM gives no orders: %s", error)
                await asyncio.sleep(_HEARTBEAT_SECONDS)
                continue
            if told is None:
                number = newest if newest < number else number  # a VMM with an older memory counts anew
                continue
            number = newest
            await self._interrupt()
            self._work = asyncio.create_task(self._do(told))

    async def _interrupt(self) -> None:
        if self._work and not self._work.done():
            self._work.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._work

    async def _do(self, told: dict[str, Any]) -> None:
        try:
            order = read_order(told)
            self.fence.admit(order.allocation, order.fence)
        except AlcError as error:
            LOG.warning("an order was not taken: %s", error)
            await self._tell("failed", told.get("allocation"), told.get("fence"), problem=error.as_json())
            return
        try:
            await (self._prepare(order) if isinstance(order, Claim) else self._drain(order))
        except Exception:  # the top of a task: else nobody would learn that it ended
            LOG.exception("an order could not be carried out")
            problem = AlcError("The machine could not do what it was told.", next_step="Start your server again.")
            await self._tell("failed", order.allocation, order.fence, problem=problem.as_json())

    async def _tell(self, event: str, allocation: Any, fence: Any, **told: Any) -> None:
        try:
            await self.link.report(event, allocation=allocation, fence=fence, **told)
        except AlcError as error:
            LOG.warning("VMM did not take the report %s: %s", event, error)

    async def _prepare(self, claim: Claim) -> None:
        """Walk the stages; each is safe to repeat, so that a second try goes on where the first failed."""
        self._ready_told = False
        if self.claim is None or self.data is None or self.server is None:
            self.claim = claim
            self.data = Data(self.machine, claim)
            self.server = Server(self.machine, claim, self.warm)
        if not self.server.running:
            self.claim = self.data.claim = self.server.claim = claim
        stage, began = "claimed", time.monotonic()
        try:
            for stage, work in (
                ("claimed", None),
                ("account", lambda: asyncio.to_thread(make_account, self.machine, claim)),
                ("mount", self.data.mount),
                ("proof", self.data.prove),
                ("server", self.server.start),
            ):
                began = time.monotonic()
                answer = await work() if work else None
                seconds = round(time.monotonic() - began, 3)
                LOG.info("%s done in %.2f s", stage, seconds)
                if stage == "server":
                    self._ready_told = True
                    told = {"stage": {"name": stage, "seconds": seconds}, "url": str(answer)}
                    await self._tell("ready", claim.allocation, claim.fence, **told)
                else:
                    told = {"stage": {"name": stage, "seconds": seconds}}
                    if stage == "mount" and self.data.problem is not None:
                        told["problem"] = self.data.problem.as_json()
                    await self._tell("stage", claim.allocation, claim.fence, **told)
        except AlcError as error:
            problem = error
        except OSError as error:
            problem = disk_is_full("your machine") if is_full_disk(error) else _could_not(error)
        else:
            return
        seconds = round(time.monotonic() - began, 3)
        LOG.warning("%s failed after %.2f s: %s", stage, seconds, problem)
        if stage in {"mount", "proof"}:  # the next try may come with other datasets
            await self.data.stop()
        told = {"stage": {"name": stage, "seconds": seconds}, "problem": problem.as_json()}
        await self._tell("failed", claim.allocation, claim.fence, **told)

    async def _drain(self, order: Release) -> None:
        """End the person's processes, so that all is written; send it; say what is left."""
        self._ready_told = False
        if self.server:
            await self.server.stop()
        self.unsent = await self.data.flush(order.flush_deadline_seconds) if self.data else []
        if self.data and not self.unsent:
            await self.data.stop()
        LOG.info("drained; unsent: %d", len(self.unsent))
        await self._tell("drained", order.allocation, order.fence, unsent=_few(self.unsent))

    async def watch(self) -> None:
        """Say soon when the person's server has ended by itself."""
        while True:
            await asyncio.sleep(_WATCH_SECONDS)
            if self._ready_told and self.claim and self.server and not self.server.running:
                self._ready_told = False
                problem = Unavailable("Your Jupyter server ended.", next_step="Start it again; your files are kept.")
                await self._tell("failed", self.claim.allocation, self.claim.fence, problem=problem.as_json())

    async def beat(self) -> None:
        """Tell VMM now and then that we live, and whether the server does."""
        while True:
            await asyncio.sleep(_HEARTBEAT_SECONDS)
            told: dict[str, Any] = {}
            if self.claim and self._ready_told:
                told = {"allocation": self.claim.allocation, "fence": self.claim.fence, "renewed": self._renewed}
            try:
                renewal = await self.link.heartbeat(**told)
                if renewal is not None and self.data is not None:
                    await self.data.renew(renewal["datasets"])
                    self._renewed = int(renewal["number"])
            except AlcError as error:
                LOG.info("no heartbeat: %s", error)

    async def close(self) -> None:
        """End what we started: only without a world of its own does that not happen by itself."""
        await self._interrupt()
        if self.server:
            await self.server.stop(patience_seconds=2)
        if self.data:
            await self.data.stop()
        await self.warm.stop()


def _few(unsent: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What VMM needs to know of unsent files, short enough for one report however many there are."""
    return [{"path": str(one.get("path"))[:300], "state": one.get("state")} for one in unsent[:_MOST_TOLD]]


def _could_not(error: OSError) -> AlcError:
    return Unavailable(
        f"The machine could not do it: {error.strerror or 'it took too long'}.", next_step="Start your server again."
    )


async def live(machine: Machine) -> None:
    """Live until the machine is ended. Raises AlcError when it can never be of use."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    machine.lay_out()
    link = Link(machine.vmm_url, machine.key)
    agent = Agent(machine, link, WarmParent())
    try:
        await link.enrol(machine.enrolment_token)
        machine.enrolment_token = ""
        await _get_ready(agent)
        work = [asyncio.create_task(one()) for one in (agent.follow, agent.watch, agent.beat)]
        stopped = asyncio.create_task(stop.wait())
        done, _ = await asyncio.wait({*work, stopped}, return_when="FIRST_COMPLETED")
        for task in (*work, stopped):
            task.cancel()
        for task in done - {stopped}:
            task.result()
    finally:
        await agent.close()
        await link.close()


async def _get_ready(agent: Agent) -> None:
    try:
        tested = {**self_test(), "warm_seconds": await agent.warm.start()}
    except AlcError as error:
        await agent.link.report("failed", problem=error.as_json())
        raise
    await agent.link.report("ready", self_test=tested)
