"""How a supervisor is asked: HTTP over a Unix socket, for processes of the same user only. Parse, ask, answer."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

import aiohttp
from aiohttp import web

from jupyter_alc.core.errors import AlcError, Denied, Unavailable, from_json

if TYPE_CHECKING:
    from jupyter_alc.piezo.record import Cluster, Connection

_PATIENCE: Final = aiohttp.ClientTimeout(total=15)


class Controlled(Protocol):
    """What the socket offers of a supervisor."""

    async def seen(self) -> Cluster:
        """The cluster as it is now."""
        ...

    def renew(self) -> None:
        """Begin the lease anew."""
        ...

    def stop(self) -> None:
        """Begin the end."""
        ...

    def connection(self) -> Connection:
        """Address and token; raises `Conflict` while it is not ready."""
        ...


@contextlib.asynccontextmanager
async def serving(supervisor: Controlled, path: Path) -> AsyncIterator[None]:
    """Answer on the socket `path`, in a folder only we may enter, while the context lasts."""
    own_folder(path.parent)
    _forget(path)
    runner = web.AppRunner(_application(supervisor), access_log=None)
    await runner.setup()
    try:
        await web.UnixSite(runner, path).start()
        yield
    finally:
        await runner.cleanup()
        _forget(path)


async def ask(path: str, method: str, what: str) -> dict[str, Any]:
    """Ask the supervisor behind the socket `path`; raises what it raised, or `Unavailable` when it cannot be asked."""
    try:
        async with (
            aiohttp.ClientSession(connector=aiohttp.UnixConnector(path), timeout=_PATIENCE) as session,
            session.request(method, f"http://supervisor{what}") as answer,
        ):
            told: dict[str, Any] = await answer.json()
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        raise Unavailable("The cluster's supervisor does not answer.", next_step="Try again in a moment.") from error
    if answer.status >= 400:
        raise from_json(told)
    return told


def own_folder(folder: Path) -> None:
    """Make `folder` ours alone; raises `Denied` where somebody else could put another in its place."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    seen = folder.lstat()
    trusted = {0, os.getuid(), Path("/").stat().st_uid}
    others = [one for one in folder.absolute().parents if one.stat().st_uid not in trusted]
    if others or not stat.S_ISDIR(seen.st_mode) or seen.st_uid != os.getuid() or seen.st_mode & 0o077:
        raise Denied(
            f"{others[-1] if others else folder} is not yours alone.",
            next_step="Set XDG_RUNTIME_DIR to a short folder of your own, and restart your server.",
        )


def _forget(path: Path) -> None:
    path.unlink(missing_ok=True)


def _application(supervisor: Controlled) -> web.Application:
    async def cluster(request: web.Request) -> web.Response:
        del request
        return web.json_response((await supervisor.seen()).as_json())

    async def lease(request: web.Request) -> web.Response:
        supervisor.renew()
        return await cluster(request)

    async def end(request: web.Request) -> web.Response:
        supervisor.stop()
        return await cluster(request)

    async def connection(request: web.Request) -> web.Response:
        del request
        return web.json_response(supervisor.connection().as_json())

    application = web.Application(middlewares=[_same_user, _told])
    application.router.add_get("/v1/cluster", cluster)
    application.router.add_delete("/v1/cluster", end)
    application.router.add_post("/v1/lease", lease)
    application.router.add_get("/v1/connection", connection)
    return application


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@web.middleware
async def _same_user(request: web.Request, handler: Handler) -> web.StreamResponse:
    peer = None if request.transport is None else request.transport.get_extra_info("socket")
    if peer is None or _uid_of(peer) != os.getuid():
        return _refusal(Denied("This cluster is another user's.", next_step="Ask as its owner."))
    return await handler(request)


@web.middleware
async def _told(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except AlcError as error:
        return _refusal(error)


def _refusal(error: AlcError) -> web.Response:
    return web.json_response(error.as_json(), status=error.http_status)


def _uid_of(peer: socket.socket) -> int:
    credentials = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return int(struct.unpack("3i", credentials)[1])
