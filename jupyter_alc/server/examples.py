"""The notebooks that come with the package, put into the user's home when asked for."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tornado import web

from jupyter_alc.example.shipped import copy_notebook
from jupyter_alc.server.handler import AlcHandler, authorized


class ExampleHandler(AlcHandler):
    """`POST examples/{name}`."""

    @web.authenticated
    @authorized
    async def post(self, name: str) -> None:
        """Copy the example into the home, or find the copy that is there; tell its path as the contents API does."""
        home = Path(self.serverapp.root_dir)
        copy = await asyncio.to_thread(copy_notebook, name, home)
        self.answer({"path": copy.relative_to(home).as_posix()})
