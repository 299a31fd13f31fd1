"""One VMM, put together: store, keeper, routes, a listening server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tornado import web
from tornado.netutil import bind_sockets

from jupyter_alc.core.clock import Clock, IdMaker, SystemClock, random_id
from jupyter_alc.core.errors import Conflict
from jupyter_alc.vmm.keeper import Keeper
from jupyter_alc.vmm.service.base import Nothing
from jupyter_alc.vmm.service.desk import Bells, Desk
from jupyter_alc.vmm.service.fair import FairServer
from jupyter_alc.vmm.service.hub_users import HubUsers
from jupyter_alc.vmm.service.routes import ROUTES
from jupyter_alc.vmm.store import Store

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from jupyter_alc.vmm.sight import Cloud
    from jupyter_alc.vmm.timing import Timing
    from jupyter_alc.vmm.types import MachineType

_LARGEST_BODY = 1 << 20


class Service:
    """A VMM that listens on one address. `start` it inside a running loop, `stop` it before the loop ends."""

    def __init__(
        self,
        *,
        store_path: Path,
        cloud: Cloud,
        types: Mapping[str, MachineType],
        hub_secret: str,
        hub_api: str,
        machine_url: str = "",
        prefix: str = "/services/vmm",
        timing: Timing | None = None,
        clock: Clock | None = None,
        ids: IdMaker = random_id,
    ) -> None:
        self._clock = clock or SystemClock()
        self.store = Store(store_path, self._clock, timing)
        self._cloud = cloud
        self._types = types
        self._hub_secret = hub_secret
        self._users = HubUsers(hub_api, self._clock)
        self._machine_url = machine_url
        self._prefix = prefix.rstrip("/")
        self._ids = ids
        self._server: FairServer | None = None
        self.keeper: Keeper | None = None
        self.url = ""

    async def start(self, address: str, port: int) -> None:
        """Listen, then keep the pools; port 0 takes a free one. `Conflict` when the port is taken."""
        try:
            sockets = bind_sockets(port, address)
        except OSError as error:
            raise Conflict(
                f"Cannot listen on {address}:{port}: {error.strerror}.", next_step="Give another address or port."
            ) from error
        self.url = f"http://{address}:{sockets[0].getsockname()[1]}{self._prefix}"
        bells = Bells()
        machine_url = self._machine_url or self.url
        self.keeper = Keeper(
            self.store, self._cloud, self._types, machine_url=machine_url, ids=self._ids, woken=bells.ring
        )
        desk = Desk(self.store, self.keeper, self._types, self._hub_secret, self._users, machine_url, bells)
        rules = [(self._prefix + path, handler, {"desk": desk}) for path, handler in ROUTES]
        application = web.Application(
            rules,
            default_handler_class=Nothing,
            default_handler_args={"desk": desk},
            log_function=lambda handler: None,
        )
        self._server = FairServer(
            application, own=address, max_body_size=_LARGEST_BODY, max_buffer_size=2 * _LARGEST_BODY, body_timeout=30.0
        )
        self._server.add_sockets(sockets)
        self.keeper.start()

    async def stop(self) -> None:
        """Stop answering and deciding. Machines live on."""
        if self._server is not None:
            self._server.stop()
        if self.keeper is not None:
            await self.keeper.stop()
        if self._server is not None:
            await self._server.close_all_connections()
        await self._users.close()
        self.store.close()
