"""The routes of plans, transfers, history, mounts and events."""

from __future__ import annotations

import asyncio
import contextlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

import yaml
from aiohttp import web

from jupyter_alc.core.errors import BadInput
from jupyter_alc.dms.daemon import asked

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from jupyter_alc.dms.transfers.access import Transferring

TRANSFERRING: Final = web.AppKey["Transferring"]("transferring")
_ENDING: Final = web.AppKey("ending", asyncio.Event)
OPENAPI: Final = Path(__file__).with_name("openapi.yaml")
MOST_EVENTS: Final = 1000
_FASTEST: Final = 1 << 50  # bytes a second; more is no wish
_ALIVE_SECONDS: Final = 30.0


def add(application: web.Application, transferring: Transferring) -> None:
    """Let `application` answer for `transferring`."""
    application[TRANSFERRING] = transferring
    application[_ENDING] = ending = asyncio.Event()

    async def end(_: web.Application) -> None:
        ending.set()

    application.on_shutdown.append(end)
    application.add_routes(
        [
            web.get("/v1/plan", _plan),
            web.get("/v1/transfers", _all),
            web.post("/v1/transfers", _fetch),
            web.get("/v1/transfers/{id}", _one),
            web.delete("/v1/transfers/{id}", _cancel),
            web.post("/v1/transfers/{id}/resume", _resume),
            web.get("/v1/history", _history),
            web.post("/v1/mounts", _mount),
            web.delete("/v1/mounts/{dataset}", _unmount),
            web.get("/v1/events", _events),
            web.get("/v1/openapi.json", _openapi),
        ]
    )


async def _plan(request: web.Request) -> web.Response:
    return web.json_response(await request.app[TRANSFERRING].plan(asked.path(request)))


async def _all(request: web.Request) -> web.Response:
    return web.json_response({"transfers": await request.app[TRANSFERRING].transfers()})


async def _fetch(request: web.Request) -> web.Response:
    told = await asked.told(request)
    paths = told.get("paths")
    if not isinstance(paths, list) or not all(isinstance(one, str) for one in paths):
        raise BadInput("The request names no paths.", next_step='Give paths as ["dataset/folder", …].', field="paths")
    made = await request.app[TRANSFERRING].fetch(
        cast("list[str]", paths),
        connections=asked.count(told, "connections", 256),
        bytes_per_second=asked.count(told, "bytes_per_second", _FASTEST),
    )
    return web.json_response(made, status=201)


async def _one(request: web.Request) -> web.Response:
    return web.json_response(await request.app[TRANSFERRING].transfer(request.match_info["id"]))


async def _cancel(request: web.Request) -> web.Response:
    return web.json_response(await request.app[TRANSFERRING].cancel(request.match_info["id"]))


async def _resume(request: web.Request) -> web.Response:
    return web.json_response(await request.app[TRANSFERRING].resume(request.match_info["id"]))


async def _history(request: web.Request) -> web.Response:
    limit = asked.number(request, "limit")
    limit = 100 if limit is None else limit
    if not 1 <= limit <= MOST_EVENTS:
        raise BadInput("limit is no number of events.", next_step=f"Give 1 to {MOST_EVENTS}.", field="limit")
    events = await request.app[TRANSFERRING].history(request.query.get("path", ""), limit)
    return web.json_response({"events": events})


async def _mount(request: web.Request) -> web.Response:
    dataset = asked.text(await asked.told(request), "dataset")
    return web.json_response(await request.app[TRANSFERRING].mount(dataset))


async def _unmount(request: web.Request) -> web.Response:
    return web.json_response(await request.app[TRANSFERRING].unmount(request.match_info["dataset"]))


async def _events(request: web.Request) -> web.StreamResponse:
    """Each change as a server-sent event, and a comment now and then, so that both ends know that the other lives."""
    answer = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
    await answer.prepare(request)
    events = request.app[TRANSFERRING].events()
    try:
        with contextlib.suppress(ConnectionError):  # the listener went away
            await _pass_on(events, answer, request.app[_ENDING])
    finally:
        await events.aclose()
    return answer


async def _pass_on(events: AsyncGenerator[dict[str, str]], answer: web.StreamResponse, ending: asyncio.Event) -> None:
    following, end = asyncio.ensure_future(anext(events)), asyncio.ensure_future(ending.wait())
    try:
        await asyncio.sleep(0)  # from here on nothing is missed
        await answer.write(b": listening\n\n")
        while not end.done():
            done, _ = await asyncio.wait({following, end}, timeout=_ALIVE_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            if following in done:
                await answer.write(f"data: {json.dumps(following.result())}\n\n".encode())
                following = asyncio.ensure_future(anext(events))
            elif not done:
                await answer.write(b": still here\n\n")
    finally:
        following.cancel()
        end.cancel()
        await asyncio.gather(following, end, return_exceptions=True)


async def _openapi(request: web.Request) -> web.Response:
    text = await asyncio.to_thread(OPENAPI.read_text)
    return web.json_response(await asyncio.to_thread(yaml.safe_load, text))
