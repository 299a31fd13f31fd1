"""The user's data, as the DMS daemon of this machine tells it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tornado import web

from jupyter_alc.core.errors import BadInput, Missing
from jupyter_alc.server.handler import AlcHandler, authorized

if TYPE_CHECKING:
    from jupyter_alc.server.parts import Data

FLUSH_LIMIT_SECONDS = 600.0


class DataHandler(AlcHandler):
    """`GET data`: datasets, bytes moved, what is unsent."""

    @web.authenticated
    @authorized
    async def get(self) -> None:
        """Tell what the daemon tells; without one, say so in words."""
        self.answer(await data_status(self.alc.parts.data))


class FolderHandler(AlcHandler):
    """`GET data/ls?path=<dataset>/<folder>`."""

    @web.authenticated
    @authorized
    async def get(self) -> None:
        """List one folder; the datasets for an empty path."""
        path = self.get_query_argument("path", "", strip=False)
        if len(path) > 4096 or any(ord(letter) < 32 for letter in path):
            raise BadInput(
                "That is not a path.", next_step="Give <dataset>/<folder>, at most 4096 characters.", field="path"
            )
        self.answer({"entries": await _asked(self.alc.parts.data).ls(path.strip("/"))})


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
        left = await _asked(self.alc.parts.data).flush(float(seconds))
        self.alc.watch.look("data")
        self.answer(left)


async def data_status(data: Data | None) -> dict[str, Any]:
    """What the daemon tells; where this computer has none, an empty answer that says so."""
    if data is None:
        return nothing("There is no data service on this computer.")
    try:
        return await data.status()
    except Missing as missing:
        return nothing(missing.line)


def nothing(words: str) -> dict[str, Any]:
    """The status of a computer without data."""
    return {"daemon": None, "datasets": [], "unsent": [], "words": words}


def _asked(data: Data | None) -> Data:
    if data is None:
        raise Missing(
            "There is no data service on this computer.", next_step="Start a server with datasets from the Hub."
        )
    return data
