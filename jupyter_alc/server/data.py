"""The user's data, as the DMS daemon of this machine tells it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tornado import web

from jupyter_alc.core.errors import BadInput, Missing
from jupyter_alc.server.asked import MOST_NAMES, after_asked, count_asked, data_of, path_asked, path_told
from jupyter_alc.server.handler import AlcHandler, authorized

if TYPE_CHECKING:
    from jupyter_alc.server.parts import Data

FLUSH_LIMIT_SECONDS: Final = 600.0
NEWEST: Final = 20  # so many transfers are told with the data; all of them at an address of their own


class DataHandler(AlcHandler):
    """`GET data`: datasets, bytes moved, what is unsent, the newest transfers."""

    @web.authenticated
    @authorized
    async def get(self) -> None:
        """Tell what the daemon tells; without one, say so in words."""
        self.answer(await data_status(self.alc.parts.data))


class FolderHandler(AlcHandler):
    """`GET data/ls?path=<dataset>/<folder>&after=&limit=`."""

    @web.authenticated
    @authorized
    async def get(self) -> None:
        """List one folder, or with `limit` a part of it; the datasets for an empty path."""
        data, path, limit = data_of(self), path_asked(self), count_asked(self, "limit", MOST_NAMES)
        if limit is None:
            self.answer({"entries": await data.ls(path)})
        else:
            self.answer(await data.part(path, after_asked(self), limit))


class RefreshHandler(AlcHandler):
    """`POST data/refresh`."""

    @web.authenticated
    @authorized
    async def post(self) -> None:
        """Ask the archive about a path now, whatever was believed (N15); of all datasets for an empty path."""
        await data_of(self).refresh(path_told(self.options_of_body("path").get("path", "")))
        self.alc.watch.look("data")
        self.answer({})


class FlushHandler(AlcHandler):
    """`POST data/flush`."""

    @web.authenticated
    @authorized
    async def post(self) -> None:
        """Send what is unsent now; tell what is left after the deadline."""
        options = self.options_of_body("deadline_seconds")
        seconds = options.get("deadline_seconds", 60)
        if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds <= FLUSH_LIMIT_SECONDS:
            raise BadInput(
                "deadline_seconds is not a number of seconds we can wait.",
                next_step=f"Give 0 to {FLUSH_LIMIT_SECONDS:.0f}.",
                field="deadline_seconds",
            )
        left = await data_of(self).flush(float(seconds))
        self.alc.watch.look("data")
        self.answer(left)


async def data_status(data: Data | None) -> dict[str, Any]:
    """What the daemon tells; where this computer has none, an empty answer that says so."""
    if data is None:
        return nothing("There is no data service on this computer.")
    try:
        return {**await data.status(), "transfers": (await data.transfers())[:NEWEST]}
    except Missing as missing:
        return nothing(missing.line)


def nothing(words: str) -> dict[str, Any]:
    """The status of a computer without data."""
    return {"daemon": None, "datasets": [], "unsent": [], "transfers": [], "words": words}
