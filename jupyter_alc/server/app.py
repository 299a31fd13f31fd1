"""The server extension: settings, what runs in the background, and the start and end of both."""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from jupyter_server.extension.application import ExtensionApp
from traitlets import Float

from jupyter_alc.core.errors import AlcError
from jupyter_alc.core.states import ClusterState, TransferState
from jupyter_alc.server import metrics
from jupyter_alc.server.data import data_status
from jupyter_alc.server.listening import Listening
from jupyter_alc.server.machine import machine_story
from jupyter_alc.server.notebooks import Notebooks, RunningKernel, running_kernels
from jupyter_alc.server.parts import Parts, real_parts
from jupyter_alc.server.routes import HANDLERS
from jupyter_alc.server.ui import UiDoor
from jupyter_alc.server.usage import Usage
from jupyter_alc.server.watch import LIVING, Watch

if TYPE_CHECKING:
    from collections.abc import Sequence

EVENT = "https://schema.jupyter-alc.org/changed/v1"
EVENT_FILE = Path(__file__).resolve().parents[1] / "etc" / "events" / "changed.yaml"
SOON_SECONDS = 1.0
GOING = frozenset({TransferState.LISTING, TransferState.MOVING})


class AlcExtension(ExtensionApp):  # type: ignore[misc]  # jupyter-server is not typed for us
    """The three parts under `/jupyter-alc/v1/` of the user's own Jupyter server."""

    name = "jupyter_alc"
    load_other_extensions = True

    data_seconds = Float(
        5.0,
        min=0.1,
        help="Seconds between two looks at the data. A look is one question over a Unix socket; a longer time makes "
        "the panel slower.",
    ).tag(config=True)
    clusters_seconds = Float(
        3.0,
        min=0.1,
        help="Seconds between two looks at the clusters. Each look renews the leases of those that live, so it must "
        "stay well below the lease, which is a minute or more.",
    ).tag(config=True)
    machine_seconds = Float(
        30.0,
        min=1.0,
        help="Seconds between two questions to the machine service. Every user's server asks it, so do "
        "not make it short.",
    ).tag(config=True)

    make_parts: ClassVar[staticmethod[[], Parts]] = staticmethod(real_parts)

    def initialize_settings(self) -> None:
        """Make the doors to the parts, before any handler can be asked."""
        self.parts = self.make_parts()
        self.ui = UiDoor()
        self.notebooks = Notebooks()
        self._usage = Usage()
        self._living = self._unsent = self._fetching = 0
        looks = {"data": self._look_at_data, "clusters": self._look_at_clusters, "machine": self._look_at_machine}
        every = {"data": self.data_seconds, "clusters": self.clusters_seconds, "machine": self.machine_seconds}
        self.watch = Watch(looks, every, self._tell, self.log)
        data = self.parts.data
        self._listening = Listening(data, lambda: self.watch.look("data"), self.log) if data is not None else None

    def initialize_handlers(self) -> None:
        """Hand our addresses to the server."""
        self.handlers.extend(HANDLERS)

    async def _start_jupyter_server_extension(self, serverapp: Any) -> None:
        """Begin to look, now that the loop runs."""
        serverapp.event_logger.register_event_schema(EVENT_FILE)
        self.watch.start()
        if self._listening is not None:
            self._listening.start()

    async def stop_extension(self) -> None:
        """Stop looking and let go of the doors. Clusters live on until their lease ends."""
        await self.watch.stop()
        if self._listening is not None:
            await self._listening.stop()
        await self.ui.close()
        for part in (self.parts.data, self.parts.machines):
            if part is not None:
                await part.close()

    def current_activity(self) -> dict[str, int] | None:
        """What must not be stopped under the user: clusters, unsent files, transfers that move; None without any."""
        busy = {"clusters": self._living, "unsent_files": self._unsent, "transfers": self._fetching}
        return busy if any(busy.values()) else None

    async def kernels(self) -> list[RunningKernel]:
        """The kernels that run on this computer."""
        assert self.serverapp is not None
        return await running_kernels(self.serverapp.kernel_manager, self.serverapp.session_manager)

    def used(self) -> dict[str, Any]:
        """Cores and memory this machine uses now."""
        return self._usage.now()

    def _tell(self, part: str) -> None:
        assert self.serverapp is not None
        self.serverapp.event_logger.emit(schema_id=EVENT, data={"what": part})

    def _look_soon(self, part: str) -> None:
        """What is on its way is watched: the panel shall tell what the kernel that waits for it tells."""
        asyncio.get_running_loop().call_later(SOON_SECONDS, self.watch.look, part)

    async def _look_at_data(self) -> dict[str, Any]:
        await self._tell_metrics()
        status = await data_status(self.parts.data)
        datasets = status.get("datasets") or []
        self._unsent = sum(int(one.get("unsent_files") or 0) for one in datasets)
        sending = any(one.get("state") == "sending" for one in datasets)
        self._fetching = sum(one.get("state") in GOING for one in status["transfers"])
        if sending or self._fetching:
            self._look_soon("data")
        self.notebooks.note(await self.kernels())
        metrics.UNSENT_FILES.set(self._unsent)
        metrics.UNSENT_BYTES.set(sum(int(one.get("unsent_bytes") or 0) for one in datasets))
        return status

    async def _tell_metrics(self) -> None:
        text = ""
        if self.parts.data is not None:
            with suppress(AlcError):
                text = await self.parts.data.metrics()
        metrics.DATA.take(text)

    async def _look_at_clusters(self) -> list[dict[str, Any]]:
        found = await self.parts.clusters.list() if self.parts.clusters else []
        told = [cluster.as_json() for cluster in found]
        living = [one for one in told if one.get("state") in LIVING]
        self._living = len(living)
        metrics.CLUSTERS.set(len(living))
        if any(one["state"] != ClusterState.READY for one in living):
            self._look_soon("clusters")
        await self._renew([one["id"] for one in living])
        return told

    async def _renew(self, ids: Sequence[str]) -> None:
        assert self.parts.clusters is not None or not ids
        for one in ids:
            try:
                await self.parts.clusters.renew(one)  # type: ignore[union-attr]
            except AlcError as error:  # the next look tells what became of it
                self.log.debug("could not renew the lease of %s: %s", one, error.code)

    async def _look_at_machine(self) -> dict[str, Any]:
        return await machine_story(self.parts.machines, {}, os.environ)
