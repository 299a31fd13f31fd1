"""Every address of ours; `openapi.yaml` beside this file says the same in words, and a test compares the two."""

from __future__ import annotations

from jupyter_alc.server.clusters import ClusterHandler, ClustersHandler, ConnectionHandler
from jupyter_alc.server.data import DataHandler, FlushHandler, FolderHandler
from jupyter_alc.server.handler import AlcHandler, UnknownAddress
from jupyter_alc.server.health import Health
from jupyter_alc.server.machine import MachineHandler
from jupyter_alc.server.ui import FrontPage, UiHandler

PREFIX = "/jupyter-alc/v1"
_ID = r"([a-z0-9][a-z0-9-]{0,62})"

ROUTES: dict[str, type[AlcHandler]] = {
    "/health": Health,
    "/machine": MachineHandler,
    "/data": DataHandler,
    "/data/ls": FolderHandler,
    "/data/flush": FlushHandler,
    "/piezo/clusters": ClustersHandler,
    "/piezo/clusters/{id}": ClusterHandler,
    "/piezo/clusters/{id}/connection": ConnectionHandler,
    "/piezo/clusters/{id}/ui": FrontPage,
    "/piezo/clusters/{id}/ui/{page}": UiHandler,
}

HANDLERS: list[tuple[str, type[AlcHandler]]] = [
    *((PREFIX + told.replace("{id}", _ID).replace("{page}", "(.*)"), handler) for told, handler in ROUTES.items()),
    (PREFIX + "(?:/.*)?", UnknownAddress),
]
