"""What the handlers share: the store off the event loop, the keeper, and who waits for an order."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from jupyter_alc.vmm.offers import Scene, offer_json

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from jupyter_alc.vmm.keeper import Keeper
    from jupyter_alc.vmm.rows import Allocation
    from jupyter_alc.vmm.service.hub_users import HubUsers
    from jupyter_alc.vmm.store import Store
    from jupyter_alc.vmm.types import MachineType

T = TypeVar("T")


@dataclass(slots=True)
class Bells:
    """Rings for the machines whose agents wait for an order."""

    _waiting: dict[str, set[asyncio.Event]] = field(default_factory=dict)

    def ring(self, key: str) -> None:
        """Wake who waits for this machine; everybody for an empty key."""
        for bell in [one for k, bells in self._waiting.items() if key in {"", k} for one in bells]:
            bell.set()

    def wait_for(self, key: str) -> asyncio.Event:
        """Return a bell that rings for this machine, until it is given back."""
        bell = asyncio.Event()
        self._waiting.setdefault(key, set()).add(bell)
        return bell

    def give_back(self, key: str, bell: asyncio.Event) -> None:
        """Forget a bell."""
        self._waiting[key].discard(bell)
        if not self._waiting[key]:
            del self._waiting[key]


@dataclass(frozen=True, slots=True)
class Renewal:
    """Session keys on their way to a machine, of one allocation; `number` grows with each."""

    number: int
    allocation: str
    datasets: Mapping[str, Mapping[str, str]] = field(repr=False)


@dataclass(slots=True)
class Renewals:
    """The newest session keys for each machine: in memory only, until its heartbeat says that it has them."""

    _newest: dict[str, Renewal] = field(default_factory=dict)
    _count: int = 0

    def put(self, key: str, allocation: str, datasets: Mapping[str, Mapping[str, str]]) -> None:
        """Keep them for the machine `key`."""
        self._count += 1
        self._newest[key] = Renewal(self._count, allocation, datasets)

    def after(self, key: str, allocation: str | None, taken: int) -> Renewal | None:
        """What this machine has not taken yet; forgets what it has."""
        found = self._newest.get(key)
        if found is not None and (found.number == taken or found.allocation != allocation):
            del self._newest[key]
            return None
        return found


@dataclass(slots=True)
class Desk:
    """One VMM at work."""

    store: Store
    keeper: Keeper
    types: Mapping[str, MachineType]
    hub_secret: str = field(repr=False)
    users: HubUsers
    machine_url: str
    bells: Bells
    renewals: Renewals = field(default_factory=Renewals)

    async def ask(self, call: Callable[..., T], *arguments: Any) -> T:
        """Call the store in a thread."""
        return await asyncio.to_thread(call, *arguments)

    async def told(self, allocation: Allocation) -> dict[str, Any]:
        """Return one allocation as REST tells it."""
        return (await self.ask(self.store.told, [allocation]))[0]

    async def release(self, ident: str, why: str) -> dict[str, Any]:
        """Begin a release, wake everybody whom it concerns, and return the allocation."""
        allocation = await self.ask(self.store.release, ident, why)
        self.keeper.wake()
        if allocation.machine is not None:
            self.bells.ring(allocation.machine)
        return await self.told(allocation)

    async def offers(self, user: str) -> list[dict[str, Any]]:
        """Return the machine types offered to a person, with counts and words."""
        rows = await self.ask(self.store.rows)
        scene = Scene(
            rows=rows,
            usual=await self.ask(self.store.usual_seconds),
            timing=self.store.timing,
            now=self.store.now(),
            cloud_down=self.keeper.cloud_problem is not None,
            closing=self.keeper.closing,
            refused=not await self.ask(self.store.may_be_served, user),
        )
        return [offer_json(kind, scene) for kind in self.types.values() if kind.offered_to(user)]
