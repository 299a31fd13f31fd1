"""What the handlers ask: the three parts as this server sees them.

Each is a small protocol, so that the handlers know no socket and no process. `real_parts` makes the ones that ask for
real: the DMS daemon of this machine, the machine service, the supervisors of this user's clusters.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from jupyter_alc.core.settings import DMS_SOCKET_VARIABLE, dms_socket
from jupyter_alc.dms.transfers.access import Transferring

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Data(Transferring, Protocol):
    """The DMS daemon of this machine. Every call raises `AlcError` and nothing else."""

    async def status(self) -> dict[str, Any]:
        """The datasets, what moved, and what is still unsent."""
        ...

    async def ls(self, path: str) -> list[dict[str, Any]]:
        """What lies in `<dataset>/<folder>`; the datasets themselves for an empty path."""
        ...

    async def part(self, path: str, after: str, limit: int) -> dict[str, Any]:
        """`{"entries", "next", "coming"}`: at most `limit` names behind the name `after`, in order."""
        ...

    async def refresh(self, path: str) -> None:
        """Ask the archive about `path` now, whatever was believed."""
        ...

    async def files(self, path: str, after: str = "", limit: int = 1000) -> dict[str, Any]:
        """`{"entries", "next", "coming"}`: names behind `after`, with their `state` and how many bytes are here."""
        ...

    async def readers(self) -> list[dict[str, Any]]:
        """What each session of processes needed and what moved for it."""
        ...

    async def metrics(self) -> str:
        """Its counts as Prometheus reads them."""
        ...

    async def flush(self, deadline_seconds: float) -> dict[str, Any]:
        """Send what is unsent; say what is left after the deadline."""
        ...

    async def close(self) -> None:
        """Let go of the socket."""
        ...


class Machines(Protocol):
    """The machine service, asked with this user's own token."""

    async def allocations(self) -> list[dict[str, Any]]:
        """This user's allocations."""
        ...

    async def release(self, allocation: str) -> dict[str, Any]:
        """Ask for the end of one of them."""
        ...

    async def close(self) -> None:
        """Let go of the connection."""
        ...


class Told(Protocol):
    """A cluster, as far as it is told."""

    def as_json(self) -> dict[str, Any]:
        """Its form in JSON."""
        ...


class Clusters(Protocol):
    """This user's clusters. Every call raises `AlcError` and nothing else."""

    async def list(self) -> Sequence[Told]:
        """Those that live, and for a while those that ended unasked."""
        ...

    async def create(self, cluster_id: str | None, options: dict[str, Any], /) -> Told:
        """Ask for one; all that is wrong with the options is told at once."""
        ...

    async def get(self, cluster_id: str, /) -> Told:
        """One of them; `NotFound` when it is not there or not this user's."""
        ...

    async def stop(self, cluster_id: str, /) -> Told:
        """Ask for its end; safe to repeat."""
        ...

    async def renew(self, cluster_id: str, /) -> object:
        """Say that its owner still lives."""
        ...

    async def connection(self, cluster_id: str, /) -> Mapping[str, Any]:
        """`{"connect_url", "ui_url"}`: where it answers, with its secret."""
        ...


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts this server can ask; None where this computer has none."""

    data: Data | None
    machines: Machines | None
    clusters: Clusters | None


def real_parts(environment: Mapping[str, str] | None = None) -> Parts:
    """Make the parts that this environment speaks of."""
    from jupyter_alc.dms.client import DmsClient  # noqa: PLC0415  (only a running server pays for these)
    from jupyter_alc.piezo.clusters import Clusters as PiezoClusters  # noqa: PLC0415
    from jupyter_alc.vmm.client import VmmClient  # noqa: PLC0415

    given = os.environ if environment is None else environment
    socket = dms_socket(given)
    vmm, token = given.get("ALC_VMM_URL", ""), given.get("JUPYTERHUB_API_TOKEN", "")
    return Parts(
        data=DmsClient(socket) if DMS_SOCKET_VARIABLE in given or socket.exists() else None,
        machines=VmmClient(vmm, token) if vmm and token else None,
        clusters=PiezoClusters(),
    )
