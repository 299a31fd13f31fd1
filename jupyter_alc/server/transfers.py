"""Before the wait and while it lasts: plans, and transfers of files into the cache."""

from __future__ import annotations

from tornado import web

from jupyter_alc.server.asked import count_told, data_of, path_asked, paths_told
from jupyter_alc.server.handler import AlcHandler, authorized

MOST_CONNECTIONS = 64
MOST_BYTES_PER_SECOND = 10**12


class PlanHandler(AlcHandler):
    """`GET data/plan?path=<dataset>/<folder>`."""

    @web.authenticated
    @authorized
    async def get(self) -> None:
        """Tell size, what is here already, requests and time."""
        self.answer(await data_of(self).plan(path_asked(self)))


class TransfersHandler(AlcHandler):
    """`GET` and `POST data/transfers`."""

    @web.authenticated
    @authorized
    async def get(self) -> None:
        """Tell all that are remembered, the newest first."""
        self.answer({"transfers": await data_of(self).transfers()})

    @web.authenticated
    @authorized
    async def post(self) -> None:
        """Begin one."""
        options = self.options_of_body("paths", "connections", "bytes_per_second")
        begun = await data_of(self).fetch(
            paths_told(options),
            connections=count_told(options.get("connections"), "connections", MOST_CONNECTIONS),
            bytes_per_second=count_told(options.get("bytes_per_second"), "bytes_per_second", MOST_BYTES_PER_SECOND),
        )
        self.alc.watch.look("data")
        self.answer(begun, 201)


class TransferHandler(AlcHandler):
    """`GET` and `DELETE data/transfers/{id}`."""

    @web.authenticated
    @authorized
    async def get(self, id: str) -> None:
        """Tell one."""
        self.answer(await data_of(self).transfer(id))

    @web.authenticated
    @authorized
    async def delete(self, id: str) -> None:
        """End it; what has come stays."""
        ended = await data_of(self).cancel(id)
        self.alc.watch.look("data")
        self.answer(ended)


class ResumeHandler(AlcHandler):
    """`POST data/transfers/{id}/resume`."""

    @web.authenticated
    @authorized
    async def post(self, id: str) -> None:
        """Go on with one that ended before all was here."""
        resumed = await data_of(self).resume(id)
        self.alc.watch.look("data")
        self.answer(resumed)
