"""What this server is and which parts it can ask."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

from tornado import web

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
        self.answer({"version": own_version(), "parts": has})


def own_version() -> str:
    """The installed version; 0.0.0 in a checkout that was never installed."""
    try:
        return version("jupyter-alc")
    except PackageNotFoundError:
        return "0.0.0"
