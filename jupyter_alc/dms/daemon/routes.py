"""The socket's routes: parse, ask, answer. Who may ask is decided before anything is parsed."""

from __future__ import annotations

import json
import logging
import socket
import struct
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web

from jupyter_alc.core.errors import AlcError, BadInput, Denied, NotFound
from jupyter_alc.dms.access import EngineAccess
from jupyter_alc.dms.ranges import MOST_BYTES, extent

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from aiohttp.typedefs import Handler, Middleware

    from jupyter_alc.dms.engine.interface import Handle
    from jupyter_alc.dms.ranges import Range

log = logging.getLogger(__name__)

ACCESS: Final = web.AppKey("access", EngineAccess)
_PEER: Final = struct.Struct("3i")
_LONGEST_READER: Final = 64
_MOST_TOLD_BYTES: Final = 1 << 16


def application(access: EngineAccess, admit_uids: frozenset[int]) -> web.Application:
    """Make the daemon's application; it answers only peers whose uid is in `admit_uids`."""
    made = web.Application(middlewares=[_explain, _admission(admit_uids)], client_max_size=_MOST_TOLD_BYTES)
    made[ACCESS] = access
    made.add_routes(
        [
            web.get("/v1/status", _status),
            web.get("/v1/info", _info),
            web.get("/v1/ls", _ls),
            web.get("/v1/read", _read),
            web.post("/v1/ranges", _ranges),
            web.put("/v1/file", _put),
            web.delete("/v1/file", _remove),
            web.delete("/v1/folder", _rmdir),
            web.post("/v1/mkdir", _mkdir),
            web.post("/v1/move", _move),
            web.post("/v1/flush", _flush),
        ]
    )
    return made


def peer_uid(request: web.Request) -> int | None:
    """The uid of the process at the other end, as the kernel knows it; None when that cannot be known."""
    transport = request.transport
    peer = None if transport is None else transport.get_extra_info("socket")
    if peer is None or peer.family != socket.AF_UNIX:
        return None
    return int(_PEER.unpack(peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size))[1])


def _admission(admit_uids: frozenset[int]) -> Middleware:
    @web.middleware
    async def admit(request: web.Request, handler: Handler) -> web.StreamResponse:
        if peer_uid(request) not in admit_uids:
            raise Denied("This data service belongs to somebody else.", next_step="Use your own.")
        return await handler(request)

    return admit


@web.middleware
async def _explain(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except AlcError as error:
        return web.json_response(error.as_json(), status=error.http_status)
    except web.HTTPNotFound:
        missing = NotFound("There is no such route.", next_step="Ask for /v1/status.")
        return web.json_response(missing.as_json(), status=missing.http_status)
    except web.HTTPException as refused:
        told = BadInput(f"The request cannot be used: {refused.reason}.", next_step="Ask as the API says.")
        return web.json_response(told.as_json(), status=refused.status)
    except ConnectionError:  # the asker went away
        raise
    except Exception:  # the top of a request: one bad request must not end the service
        log.exception("A request of the socket failed: %s %s", request.method, request.path)
        unknown = AlcError("The data service failed at this.", next_step="Try again; its log says more.")
        return web.json_response(unknown.as_json(), status=unknown.http_status)


async def _status(request: web.Request) -> web.Response:
    return web.json_response(await request.app[ACCESS].status())


async def _info(request: web.Request) -> web.Response:
    return web.json_response(await request.app[ACCESS].info(_path(request)))


async def _ls(request: web.Request) -> web.Response:
    return web.json_response({"entries": await request.app[ACCESS].ls(request.query.get("path", ""))})


async def _read(request: web.Request) -> web.StreamResponse:
    access = request.app[ACCESS]
    start, stop = _number(request, "start") or 0, _number(request, "stop")
    reader = request.query.get("reader", "")[:_LONGEST_READER]
    async with access.opened(_path(request), request.query.get("token", ""), reader) as handle:
        first, end = extent(handle.size, start, stop)
        headers = _version(handle)
        if end - first <= MOST_BYTES:  # read before it is answered, so that its errors are answers
            body = b"".join([piece async for piece in access.pieces(handle, first, end)])
            return web.Response(body=body, status=206, headers=headers)
        answer = web.StreamResponse(status=206, headers=headers)
        answer.content_length = end - first
        await answer.prepare(request)
        try:
            async for piece in access.pieces(handle, first, end):
                await answer.write(piece)
        except AlcError as broken:  # the head is gone: the only honest end is one that cannot be taken for whole
            if request.transport is not None:
                request.transport.abort()
            raise ConnectionResetError from broken
        await answer.write_eof()
        return answer


async def _ranges(request: web.Request) -> web.Response:
    access, told = request.app[ACCESS], await _told(request)
    token = _text(told, "token") if "token" in told else ""
    async with access.opened(_text(told, "path"), token) as handle:
        body = b"".join(await access.several(handle, _wanted(told)))
        return web.Response(body=body, status=206, headers=_version(handle))


def _version(handle: Handle) -> dict[str, str]:
    return {"Dms-Version": handle.token, "Dms-Size": str(handle.size)}


def _wanted(told: dict[str, Any]) -> list[Range]:
    found = told.get("ranges")
    if not isinstance(found, list) or not all(_is_range(each) for each in found):
        raise BadInput(
            "The ranges are not pairs of numbers.",
            next_step="Give [[start, stop], …], stop may be null.",
            field="ranges",
        )
    return [(start, stop) for start, stop in found]


def _is_range(each: Any) -> bool:
    match each:
        case [int() as start, int() | None as stop]:
            return not isinstance(start, bool) and not isinstance(stop, bool)
    return False


async def _put(request: web.Request) -> web.Response:
    exclusive = request.query.get("exclusive", "0") not in {"", "0"}
    await request.app[ACCESS].put(_path(request), _body(request), exclusive=exclusive)
    return web.Response(status=201)


async def _body(request: web.Request) -> AsyncIterator[bytes]:
    async for piece in request.content.iter_chunked(1 << 20):
        yield piece


async def _remove(request: web.Request) -> web.Response:
    await request.app[ACCESS].remove(_path(request))
    return web.Response(status=204)


async def _rmdir(request: web.Request) -> web.Response:
    await request.app[ACCESS].rmdir(_path(request))
    return web.Response(status=204)


async def _mkdir(request: web.Request) -> web.Response:
    await request.app[ACCESS].mkdir(_text(await _told(request), "path"))
    return web.json_response({}, status=201)


async def _move(request: web.Request) -> web.Response:
    told = await _told(request)
    await request.app[ACCESS].move(_text(told, "from"), _text(told, "to"))
    return web.json_response({})


async def _flush(request: web.Request) -> web.Response:
    seconds = (await _told(request)).get("deadline_seconds", 60)
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds <= 86400:
        raise BadInput(
            "deadline_seconds is not a time to wait.", next_step="Give seconds, up to a day.", field="deadline_seconds"
        )
    return web.json_response(await request.app[ACCESS].flush(float(seconds)))


def _path(request: web.Request) -> str:
    path = request.query.get("path")
    if path is None:
        raise BadInput("The request names no path.", next_step="Give ?path=dataset/file.", field="path")
    return path


def _number(request: web.Request, field: str) -> int | None:
    text = request.query.get(field)
    try:
        return None if text is None else int(text)
    except ValueError as wrong:
        raise BadInput(f"{field} is not a number of bytes.", next_step="Give a whole number.", field=field) from wrong


async def _told(request: web.Request) -> dict[str, Any]:
    try:
        told = json.loads(await request.read() or b"{}")
    except ValueError as wrong:
        raise BadInput("The body is not JSON.", next_step="Send one JSON object.") from wrong
    if not isinstance(told, dict):
        raise BadInput("The body is not a JSON object.", next_step="Send one JSON object.")
    return told


def _text(told: dict[str, Any], field: str) -> str:
    found = told.get(field)
    if not isinstance(found, str):
        raise BadInput(f"The request names no {field}.", next_step=f"Give {field} as dataset/file.", field=field)
    return found
