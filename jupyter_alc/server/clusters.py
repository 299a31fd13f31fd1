"""The user's clusters, as their supervisors tell them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tornado import web

from jupyter_alc.core.errors import Missing
from jupyter_alc.server.handler import AlcHandler, authorized
from jupyter_alc.server.metrics import CLUSTERS_ASKED

if TYPE_CHECKING:
    from jupyter_alc.server.parts import Clusters


class ClustersHandler(AlcHandler):
    """`GET piezo/clusters`, `POST piezo/clusters`."""

    @web.authenticated
    @authorized
    async def get(self) -> None:
        """Tell all of this user's clusters."""
        found = await self.alc.parts.clusters.list() if self.alc.parts.clusters else []
        self.answer({"clusters": [cluster.as_json() for cluster in found]})

    @web.authenticated
    @authorized
    async def post(self) -> None:
        """Ask for a cluster; 202 with the cluster to watch."""
        options = self.options_of_body()
        told = (await asked(self.alc.parts.clusters).create(None, options)).as_json()
        CLUSTERS_ASKED.inc()
        self.alc.watch.look("clusters")
        self.set_header("Location", f"{self.request.path.rstrip('/')}/{told['id']}")
        self.answer(told, 202)


class ClusterHandler(AlcHandler):
    """`GET piezo/clusters/{id}`, `DELETE piezo/clusters/{id}`."""

    @web.authenticated
    @authorized
    async def get(self, id: str) -> None:
        """Tell one cluster."""
        self.answer((await asked(self.alc.parts.clusters).get(id)).as_json())

    @web.authenticated
    @authorized
    async def delete(self, id: str) -> None:
        """Ask for its end; 202 with the cluster to watch until it is not found."""
        ended = await asked(self.alc.parts.clusters).stop(id)
        self.alc.watch.look("clusters")
        self.answer(ended.as_json(), 202)


class ConnectionHandler(AlcHandler):
    """`GET piezo/clusters/{id}/connection`: holds a secret, for the owner's kernel."""

    @web.authenticated
    @authorized
    async def get(self, id: str) -> None:
        """Tell where the cluster answers, with its token."""
        self.answer(dict(await asked(self.alc.parts.clusters).connection(id)))


def asked(clusters: Clusters | None) -> Clusters:
    """The clusters' door, or `Missing` in words."""
    if clusters is None:
        raise Missing("This server cannot start clusters.", next_step="Ask your facility for a machine with Spark.")
    return clusters
