"""Every address of ours; `openapi.yaml` beside this file says the same in words, and a test compares the two."""

from __future__ import annotations

from jupyter_alc.server.clusters import ClusterHandler, ClustersHandler, ConnectionHandler
from jupyter_alc.server.data import DataHandler, FlushHandler, FolderHandler, RefreshHandler
from jupyter_alc.server.examples import ExampleHandler
from jupyter_alc.server.handler import AlcHandler, UnknownAddress
from jupyter_alc.server.health import Health
from jupyter_alc.server.machine import MachineHandler
from jupyter_alc.server.places import (
    FilesHandler,
    HistoryHandler,
    MountHandler,
    MountsHandler,
    NotebooksHandler,
)
from jupyter_alc.server.transfers import PlanHandler, ResumeHandler, TransferHandler, TransfersHandler
from jupyter_alc.server.ui import FrontPage, UiHandler

PREFIX = "/jupyter-alc/v1"
_ID = r"([a-z0-9][a-z0-9-]{0,62})"
_NAME = r"([a-z0-9][a-z0-9_]{0,62})"

ROUTES: dict[str, type[AlcHandler]] = {
    "/health": Health,
    "/machine": MachineHandler,
    "/data": DataHandler,
    "/data/ls": FolderHandler,
    "/data/refresh": RefreshHandler,
    "/data/flush": FlushHandler,
    "/data/plan": PlanHandler,
    "/data/transfers": TransfersHandler,
    "/data/transfers/{id}": TransferHandler,
    "/data/transfers/{id}/resume": ResumeHandler,
    "/data/files": FilesHandler,
    "/data/history": HistoryHandler,
    "/data/mounts": MountsHandler,
    "/data/mounts/{id}": MountHandler,
    "/data/notebooks": NotebooksHandler,
    "/examples/{name}": ExampleHandler,
    "/piezo/clusters": ClustersHandler,
    "/piezo/clusters/{id}": ClusterHandler,
    "/piezo/clusters/{id}/connection": ConnectionHandler,
    "/piezo/clusters/{id}/ui": FrontPage,
    "/piezo/clusters/{id}/ui/{page}": UiHandler,
}


def _pattern(told: str) -> str:
    return told.replace("{id}", _ID).replace("{name}", _NAME).replace("{page}", "(.*)")


HANDLERS: list[tuple[str, type[AlcHandler]]] = [
    *((PREFIX + _pattern(told), handler) for told, handler in ROUTES.items()),
    (PREFIX + "(?:/.*)?", UnknownAddress),
]
