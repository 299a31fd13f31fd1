"""The socket's routes: parse, ask, answer. Who may ask is decided before anything is parsed."""

from __future__ import annotations

import json
import logging
import socket
import struct
from collections import Counter
from typing import TYPE_CHECKING, Any, Final, NoReturn

from aiohttp import web

from jupyter_alc.core.errors import AlcError, BadInput, Denied, NotFound
from jupyter_alc.dms.access import EngineAccess, entry_as_json
from jupyter_alc.dms.daemon import asked, renewing, transfer_routes
from jupyter_alc.dms.daemon.metrics import CONTENT_TYPE, metrics_text
from jupyter_alc.dms.many import Asked, sizes_told
from jupyter_alc.dms.ranges import MOST_BYTES, extent
from jupyter_alc.dms.sessions import opener_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from aiohttp.typedefs import Handler, Middleware

    from jupyter_alc.dms.engine.accounts import Opener
    from jupyter_alc.dms.engine.folders import Pages
    from jupyter_alc.dms.engine.interface import Handle
    from jupyter_alc.dms.ranges import Range
    from jupyter_alc.dms.transfers.access import Transferring

log = logging.getLogger(__name__)

ACCESS: Final = web.AppKey("access", EngineAccess)
_PEER: Final = struct.Struct("3i")
_LONGEST_READER: Final = 64
_USUAL_NAMES: Final = 1000
_MOST_NAMES: Final = 10_000  # in one answer that is made whole
_MOST_TOLD_BYTES: Final = 4 << 20  # a thousand paths


def application(
    access: EngineAccess, transferring: Transferring, admit_uids: frozenset[int], keepers: frozenset[int] = frozenset()
) -> web.Application:
    """Make the daemon's application; it answers only peers whose uid is in `admit_uids`.

    Credentials are taken from `keepers` alone.
    """
    made = web.Application(middlewares=[_explain, _admission(admit_uids)], client_max_size=_MOST_TOLD_BYTES)
    made[ACCESS] = access
    transfer_routes.add(made, transferring)
    renewing.add(made, access.renew, peer_uid, keepers)
    made.add_routes(
        [
            web.get("/v1/status", _status),
            web.get("/v1/info", _info),
            web.get("/v1/ls", _ls),
            web.get("/v1/files", _files),
            web.get("/v1/readers", _readers),
            web.get("/v1/metrics", _metrics),
            web.get("/v1/read", _read),
            web.post("/v1/ranges", _ranges),
            web.post("/v1/many", _many),
            web.put("/v1/file", _put),
            web.delete("/v1/file", _remove),
            web.delete("/v1/folder", _rmdir),
            web.post("/v1/mkdir", _mkdir),
            web.post("/v1/move", _move),
            web.post("/v1/flush", _flush),
            web.post("/v1/refresh", _refresh),
        ]
    )
    return made


def peer_uid(request: web.Request) -> int | None:
    """The uid of the process at the other end, as the kernel knows it; None when that cannot be known."""
    peer = _peer(request)
    return None if peer is None else peer[1]


def _peer(request: web.Request) -> tuple[int, int] | None:
    """Its pid and uid."""
    transport = request.transport
    peer = None if transport is None else transport.get_extra_info("socket")
    if peer is None or peer.family != socket.AF_UNIX:
        return None
    pid, uid, _ = _PEER.unpack(peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size))
    return int(pid), int(uid)


def _opener(request: web.Request) -> Opener:
    """Whom what is read here counts for."""
    peer = _peer(request)
    return opener_of(0 if peer is None else peer[0])


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
    return web.json_response(await request.app[ACCESS].info(asked.path(request)))


async def _ls(request: web.Request) -> web.StreamResponse:
    """All of a small folder in order; a large one as it comes; with `limit` a part."""
    access, path = request.app[ACCESS], request.query.get("path", "")
    limit = asked.limit(request, _MOST_NAMES)
    if limit is not None:
        return web.json_response(await access.part(path, request.query.get("after", ""), limit))
    pages, found = await access.pages(path), list[dict[str, Any]]()
    while page := await pages.more():
        found += [entry_as_json(one) for one in page]
        if len(found) > _MOST_NAMES:
            return await _streamed(request, found, pages)
    return web.json_response({"entries": sorted(found, key=lambda one: str(one["name"])) if path else found})


async def _streamed(request: web.Request, found: list[dict[str, Any]], pages: Pages) -> web.StreamResponse:
    """The names so far and those that come, without ever holding all of them."""
    answer = web.StreamResponse(headers={"Content-Type": "application/json"})
    await answer.prepare(request)
    before = b'{"entries": ['
    try:
        while found:
            await answer.write(before + json.dumps(found).encode()[1:-1])
            before, found = b", ", [entry_as_json(one) for one in await pages.more()]
    except AlcError as broken:
        _break_off(request, broken)
    await answer.write(b"]}")
    await answer.write_eof()
    return answer


def _break_off(request: web.Request, broken: AlcError) -> NoReturn:
    """The head is gone: the only honest end is one that cannot be taken for whole."""
    if request.transport is not None:
        request.transport.abort()
    raise ConnectionResetError from broken


async def _refresh(request: web.Request) -> web.Response:
    await request.app[ACCESS].refresh(asked.text(await asked.told(request), "path"))
    return web.json_response({})


async def _files(request: web.Request) -> web.Response:
    path, after = request.query.get("path", ""), request.query.get("after", "")
    limit = asked.limit(request, _MOST_NAMES) or _USUAL_NAMES
    return web.json_response(await request.app[ACCESS].files(path, after, limit))


async def _readers(request: web.Request) -> web.Response:
    return web.json_response({"readers": await request.app[ACCESS].readers()})


async def _metrics(request: web.Request) -> web.Response:
    transfers = Counter(one["state"] for one in await request.app[transfer_routes.TRANSFERRING].transfers())
    text = metrics_text(request.app[ACCESS].measures(), transfers)
    return web.Response(body=text.encode(), headers={"Content-Type": CONTENT_TYPE})


async def _read(request: web.Request) -> web.StreamResponse:
    access = request.app[ACCESS]
    start, stop = asked.number(request, "start") or 0, asked.number(request, "stop")
    reader = request.query.get("reader", "")[:_LONGEST_READER]
    async with access.opened(asked.path(request), request.query.get("token", ""), reader, _opener(request)) as handle:
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
        except AlcError as broken:
            _break_off(request, broken)
        await answer.write_eof()
        return answer


async def _ranges(request: web.Request) -> web.Response:
    access, told = request.app[ACCESS], await asked.told(request)
    async with access.opened(asked.text(told, "path"), _token(told), opener=_opener(request)) as handle:
        body = b"".join(await access.several(handle, _wanted(told)))
        return web.Response(body=body, status=206, headers=_version(handle))


async def _many(request: web.Request) -> web.Response:
    told = (await asked.told(request)).get("files")
    if not isinstance(told, list) or not all(isinstance(each, dict) for each in told):
        raise BadInput("The request names no files.", next_step="Give files as [{path, ranges}, …].", field="files")
    files = [Asked(asked.text(each, "path"), _wanted(each), _token(each)) for each in told]
    got = await request.app[ACCESS].many(files, _opener(request))
    pieces = [each for one in got if not isinstance(one, AlcError) for each in one]
    body = b"".join([json.dumps(sizes_told(got)).encode(), b"\n", *pieces])
    return web.Response(body=body, content_type="application/octet-stream")


def _token(told: dict[str, Any]) -> str:
    return asked.text(told, "token") if "token" in told else ""


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
    await request.app[ACCESS].put(asked.path(request), _body(request), exclusive=exclusive)
    return web.Response(status=201)


async def _body(request: web.Request) -> AsyncIterator[bytes]:
    async for piece in request.content.iter_chunked(1 << 20):
        yield piece


async def _remove(request: web.Request) -> web.Response:
    await request.app[ACCESS].remove(asked.path(request))
    return web.Response(status=204)


async def _rmdir(request: web.Request) -> web.Response:
    await request.app[ACCESS].rmdir(asked.path(request))
    return web.Response(status=204)


async def _mkdir(request: web.Request) -> web.Response:
    await request.app[ACCESS].mkdir(asked.text(await asked.told(request), "path"))
    return web.json_response({}, status=201)


async def _move(request: web.Request) -> web.Response:
    told = await asked.told(request)
    await request.app[ACCESS].move(asked.text(told, "from"), asked.text(told, "to"))
    return web.json_response({})


async def _flush(request: web.Request) -> web.Response:
    seconds = (await asked.told(request)).get("deadline_seconds", 60)
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds <= 86400:
        raise BadInput(
            "deadline_seconds is not a time to wait.", next_step="Give seconds, up to a day.", field="deadline_seconds"
        )
    return web.json_response(await request.app[ACCESS].flush(float(seconds)))
