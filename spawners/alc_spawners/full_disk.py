"""The Hub's own database on a full disk: the person is told, and nothing is started; JupyterHub itself says "500"."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from jupyterhub.app import JupyterHub
from sqlalchemy import Engine, event
from sqlalchemy.exc import SQLAlchemyError
from tornado.web import HTTPError

from jupyter_alc.core.full_disk import disk_is_full, is_full_disk

if TYPE_CHECKING:
    from sqlalchemy.engine import ExceptionContext


class HubDiskFull(HTTPError, SQLAlchemyError):
    """Raised in place of the database's error: shown as ours, and rolled back by the Hub as its own."""

    def __init__(self) -> None:
        told = disk_is_full("the Hub")
        self.jupyterhub_message = told.line
        HTTPError.__init__(self, told.http_status, told.line, reason=told.code)

    def __str__(self) -> str:
        return self.jupyterhub_message


def tell_of_full_disk() -> None:
    """From now on a full disk under a database of this process is `HubDiskFull`."""
    if not event.contains(Engine, "handle_error", _tell):
        event.listen(Engine, "handle_error", _tell)


def _tell(context: ExceptionContext) -> None:
    if is_full_disk(context.original_exception):
        with suppress(RuntimeError):  # no loop runs yet
            asyncio.get_running_loop().call_soon(_roll_back)  # before anybody who waits for this uses the session again
        raise HubDiskFull


def _roll_back() -> None:
    if JupyterHub.initialized():
        JupyterHub.instance().db.rollback()
