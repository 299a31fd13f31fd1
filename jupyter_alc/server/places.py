"""Where the bytes of files are, what happened to them, which datasets are in the folder, and who read how much."""

from __future__ import annotations

from tornado import web

from jupyter_alc.core.names import identifier
from jupyter_alc.server.asked import MOST_NAMES, after_asked, count_asked, data_of, path_asked
from jupyter_alc.server.handler import AlcHandler, authorized

USUAL_EVENTS, MOST_EVENTS = 100, 10_000
USUAL_NAMES = 1000


class FilesHandler(AlcHandler):
    """`GET data/files?path=<dataset>/<folder>&after=&limit=`."""

    @web.authenticated
    @authorized
    async def get(self) -> None:
        """List a folder or a part of it, each file with where its bytes are."""
        limit = count_asked(self, "limit", MOST_NAMES) or USUAL_NAMES
        self.answer(await data_of(self).files(path_asked(self), after_asked(self), limit))


class HistoryHandler(AlcHandler):
    """`GET data/history?path=&limit=`."""

    @web.authenticated
    @authorized
    async def get(self) -> None:
        """Tell what happened at and below a path, the newest first."""
        limit = count_asked(self, "limit", MOST_EVENTS) or USUAL_EVENTS
        self.answer({"events": await data_of(self).history(path_asked(self), limit)})


class MountsHandler(AlcHandler):
    """`POST data/mounts`."""

    @web.authenticated
    @authorized
    async def post(self) -> None:
        """Let a dataset come back into the folder."""
        told = self.options_of_body("dataset").get("dataset", "")
        mounted = await data_of(self).mount(identifier(told, "dataset"))
        self.alc.watch.look("data")
        self.answer(mounted)


class MountHandler(AlcHandler):
    """`DELETE data/mounts/{id}`."""

    @web.authenticated
    @authorized
    async def delete(self, id: str) -> None:
        """Let a dataset leave the folder; what is open stays open, what is unsent goes on being sent."""
        left = await data_of(self).unmount(id)
        self.alc.watch.look("data")
        self.answer(left)


class NotebooksHandler(AlcHandler):
    """`GET data/notebooks`."""

    @web.authenticated
    @authorized
    async def get(self) -> None:
        """Tell what each notebook needed and what moved for it, and the same of everybody else."""
        readers = await data_of(self).readers()
        self.answer(self.alc.notebooks.told(readers, await self.alc.kernels()))
