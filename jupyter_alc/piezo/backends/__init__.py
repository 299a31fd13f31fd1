"""Where clusters run. Each backend is one module here, found by the entry point `jupyter_alc.backends`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from jupyter_alc.piezo.options import ClusterOptions, Machine
    from jupyter_alc.piezo.record import Cluster, Connection


class Backend(Protocol):
    """Makes, finds and ends clusters of one user.

    Every call may be repeated. Errors are `AlcError` only: "could not ask" (`Unavailable`) is never told as
    "not there" (`NotFound`). The caller has checked ids and options. What a backend made it finds again after a
    restart of the caller.
    """

    name: str
    machine: Machine

    async def create(self, cluster_id: str, options: ClusterOptions) -> Cluster:
        """Begin a cluster and return at once; with an id that exists, return that cluster. Raises `Missing`."""
        ...

    async def clusters(self) -> list[Cluster]:
        """Every cluster there is a record of, gone ones too, newest first. Ends what a dead supervisor left."""
        ...

    async def renew(self, cluster_id: str) -> Cluster:
        """Begin its lease anew. Raises `NotFound` when it is not there or gone."""
        ...

    async def stop(self, cluster_id: str) -> Cluster:
        """Begin its end and return at once; a gone cluster stays as it is. Raises `NotFound`."""
        ...

    async def connection(self, cluster_id: str) -> Connection:
        """How its owner's kernel reaches it. Raises `NotFound`, and `Conflict` while it is not ready."""
        ...
