"""The door for everybody who asks about clusters: the server extension above all. Async, one user."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final, cast

from jupyter_alc.core.clock import Clock, IdMaker, SystemClock, random_id
from jupyter_alc.core.errors import Conflict, NotFound
from jupyter_alc.core.names import identifier
from jupyter_alc.core.plugins import plugin
from jupyter_alc.core.settings import Places
from jupyter_alc.core.states import ClusterState
from jupyter_alc.piezo.options import ClusterOptions, options_schema, read_options
from jupyter_alc.piezo.record import Cluster, Ending

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jupyter_alc.piezo.backends import Backend

BACKENDS: Final = "jupyter_alc.backends"
BACKEND_VARIABLE: Final = "ALC_PIEZO_BACKEND"
MOST_CLUSTERS: Final = 2
TOLD_SECONDS: Final = 900.0  # how long a cluster that ended by itself stays in the list


class Clusters:
    """The clusters of this user on this machine. Every method raises only `AlcError`."""

    def __init__(
        self,
        places: Places | None = None,
        *,
        backend: Backend | None = None,
        environment: Mapping[str, str] | None = None,
        clock: Clock | None = None,
        new_id: IdMaker = random_id,
    ) -> None:
        """Look below `places` (default: from the environment) with `backend`.

        Default: the one that ALC_PIEZO_BACKEND names, else standalone; it is looked for when first asked.
        """
        given = os.environ if environment is None else environment
        self._clock = clock or SystemClock()
        self._new_id = new_id
        self._found = backend
        self._places, self._environment = places, given

    @property
    def _backend(self) -> Backend:
        if self._found is None:
            make = plugin(BACKENDS, self._environment.get(BACKEND_VARIABLE) or "standalone")
            places = self._places or Places.from_environment(self._environment)
            self._found = cast("Backend", make(places, self._environment, clock=self._clock))
        return self._found

    def schema(self) -> dict[str, Any]:
        """JSON Schema of the options that `create` takes on this machine."""
        return options_schema(self._backend.machine)

    async def list(self, *, everything: bool = False) -> list[Cluster]:
        """Living clusters, newest first, and for 15 minutes those that ended unasked; with `everything` all records."""
        return [each for each in await self._backend.clusters() if everything or self._told(each)]

    async def create(self, id: str | None, options: Mapping[str, Any] | None = None) -> Cluster:
        """Begin a cluster and return at once; the same id gives the same cluster.

        Raises `BadOptions` naming every wrong option, `BadInput` for the id, `Conflict` when there are already as many
        as fit, and `Missing` where the machine has no Spark or no Java.
        """
        chosen = self._new_id("cluster") if id is None else identifier(id, "cluster id")
        known = await self._backend.clusters()
        for each in known:
            if each.id == chosen:
                return each
        wanted = read_options({} if options is None else options, self._backend.machine)
        living = [each for each in known if each.state is not ClusterState.GONE]
        if len(living) >= MOST_CLUSTERS:
            raise Conflict(
                f"You have {len(living)} clusters and may have {MOST_CLUSTERS} on one machine.",
                next_step="Stop one of them first.",
            )
        _check_room(wanted, living, self._backend.machine.memory_bytes)
        return await self._backend.create(chosen, wanted)

    async def get(self, id: str) -> Cluster:
        """One cluster, a gone one too while its record is kept. Raises `NotFound`."""
        for each in await self._backend.clusters():
            if each.id == id:
                return each
        raise NotFound(f"There is no cluster {id[:80]}.", next_step="Look at the list of clusters.")

    async def stop(self, id: str) -> Cluster:
        """Begin the end of a cluster; stopping a gone one changes nothing. Raises `NotFound`."""
        found = await self.get(id)
        return found if found.state is ClusterState.GONE else await self._backend.stop(id)

    async def renew(self, id: str) -> None:
        """Begin a cluster's lease anew. Raises `NotFound` when it is not there or gone."""
        await self._backend.renew(id)

    async def connection(self, id: str) -> dict[str, str]:
        """`connect_url`, which holds the token and is for the owner's kernel alone, and `ui_url`.

        Raises `NotFound`, and `Conflict` while it is not ready.
        """
        return (await self._backend.connection(id)).as_json()

    def _told(self, cluster: Cluster) -> bool:
        if cluster.state is not ClusterState.GONE:
            return True
        return (
            cluster.record.ending is not Ending.STOPPED
            and cluster.record.gone_seconds(self._clock.now()) < TOLD_SECONDS
        )


def _check_room(wanted: ClusterOptions, living: list[Cluster], memory_bytes: int) -> None:
    """Raise `Conflict` for a cluster that the living ones leave no memory for: the computer would kill one of them."""
    taken = sum(ClusterOptions.from_json(each.record.options).needed_bytes for each in living)
    if living and taken + wanted.needed_bytes > memory_bytes:
        names = " and ".join(each.record.name for each in living)
        raise Conflict(
            f"This cluster needs {wanted.needed_bytes / 1e9:.1f} GB, and cluster {names} leaves "
            f"{max(0, memory_bytes - taken) / 1e9:.1f} of this machine's {memory_bytes / 1e9:.1f} GB.",
            next_step=f"Use cluster {names}, or stop it first.",
        )
