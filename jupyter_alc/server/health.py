"""What this server is and which parts it can ask."""

from __future__ import annotations

from tornado import web

from jupyter_alc import __version__
from jupyter_alc.server.handler import AlcHandler, authorized


class Health(AlcHandler):
    """`GET health`."""

    @web.authenticated
    @authorized
    async def get(self) -> None:
        """Tell the version, and the parts this server can ask."""
        parts = self.alc.parts
        has = {
            "data": parts.data is not None,
            "machine": parts.machines is not None,
            "clusters": parts.clusters is not None,
        }
        self.answer({"version": __version__, "parts": has})
