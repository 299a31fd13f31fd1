"""The daemon's Unix socket, asked asynchronously: for the server extension, the magics' server side and `dms://`."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import weakref
from typing import TYPE_CHECKING, Any, Final

import aiohttp

from jupyter_alc.core.errors import ArchiveUnreachable, Unavailable, from_json
from jupyter_alc.dms.ranges import extent

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Mapping, Sequence
    from pathlib import Path

    from jupyter_alc.dms.ranges import Range

_BASE: Final = "http://dms/v1"
_CONNECT_SECONDS: Final = 10.0
_ANSWER_SECONDS: Final = 120.0
_NEXT: Final = "Start your server again; if it stays away, tell the facility's support."


class DmsClient:
    """Asks one daemon, from the event loop that first uses it; every call raises `AlcError` and nothing else."""

    def __init__(self, socket: Path) -> None:
        self.socket = socket
        self._session: aiohttp.ClientSession | None = None

    async def status(self) -> dict[str, Any]:
        """`{"daemon", "datasets", "unsent"}`."""
        return await self._json("GET", "/status")

    async def info(self, path: str) -> dict[str, Any]:
        """`{"name", "type", "size", "mtime", "token", "writable"}` of one path."""
        return await self._json("GET", "/info", query={"path": path})

    async def ls(self, path: str) -> list[dict[str, Any]]:
        """The same of all that lies in a folder; the datasets for an empty path."""
        answer = await self._json("GET", "/ls", query={"path": path})
        entries: list[dict[str, Any]] = answer["entries"]
        return entries

    async def read(
        self, path: str, start: int = 0, stop: int | None = None, token: str = "", reader: str = ""
    ) -> bytes:
        """Bytes `start`..`stop` of a file, of the version `token` if one is named; a `reader` is one stream."""
        query = {"path": path, "start": str(start), "token": token, "reader": reader}
        return await self._ask("GET", "/read", query=query | ({} if stop is None else {"stop": str(stop)}))

    async def ranges(self, path: str, wanted: Sequence[Range], token: str = "") -> list[bytes]:
        """The bytes of each range, all of one version, by one request."""
        told = json.dumps({"path": path, "token": token, "ranges": wanted}).encode()
        content, head = await self._answer("POST", "/ranges", body=told)
        found, place = [], 0
        for each in wanted:
            first, end = extent(int(head["Dms-Size"]), *each)
            found.append(content[place : place + end - first])
            place += end - first
        return found

    async def put(self, path: str, pieces: AsyncIterable[bytes], *, exclusive: bool = False) -> None:
        """Write a whole file; visible when all pieces are there."""
        await self._ask("PUT", "/file", query={"path": path, "exclusive": str(int(exclusive))}, body=pieces)

    async def mkdir(self, path: str) -> None:
        """Make a folder."""
        await self._json("POST", "/mkdir", told={"path": path})

    async def rmdir(self, path: str) -> None:
        """Remove an empty folder."""
        await self._ask("DELETE", "/folder", query={"path": path})

    async def remove(self, path: str) -> None:
        """Remove a file."""
        await self._ask("DELETE", "/file", query={"path": path})

    async def move(self, old: str, new: str) -> None:
        """Rename inside one dataset."""
        await self._json("POST", "/move", told={"from": old, "to": new})

    async def flush(self, deadline_seconds: float) -> dict[str, Any]:
        """Send what is unsent, wait so long at most: `{"unsent": [what is left]}`."""
        told = {"deadline_seconds": deadline_seconds}
        return await self._json("POST", "/flush", told=told, seconds=deadline_seconds + _ANSWER_SECONDS)

    async def close(self) -> None:
        """Let go of the socket."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _json(
        self,
        method: str,
        route: str,
        *,
        query: Mapping[str, str] | None = None,
        told: Mapping[str, Any] | None = None,
        seconds: float = _ANSWER_SECONDS,
    ) -> dict[str, Any]:
        body = None if told is None else json.dumps(told).encode()
        answer: dict[str, Any] = json.loads(await self._ask(method, route, query=query, body=body, seconds=seconds))
        return answer

    async def _ask(
        self,
        method: str,
        route: str,
        *,
        query: Mapping[str, str] | None = None,
        body: bytes | AsyncIterable[bytes] | None = None,
        seconds: float = _ANSWER_SECONDS,
    ) -> bytes:
        return (await self._answer(method, route, query=query, body=body, seconds=seconds))[0]

    async def _answer(
        self,
        method: str,
        route: str,
        *,
        query: Mapping[str, str] | None = None,
        body: bytes | AsyncIterable[bytes] | None = None,
        seconds: float = _ANSWER_SECONDS,
    ) -> tuple[bytes, Mapping[str, str]]:
        deadline = aiohttp.ClientTimeout(sock_connect=_CONNECT_SECONDS, sock_read=seconds)
        try:
            async with self._opened().request(
                method, _BASE + route, params=query, data=body, timeout=deadline
            ) as answer:
                content = await answer.read()
        except aiohttp.ClientConnectorError as away:
            raise Unavailable(f"The data service does not answer at {self.socket}.", next_step=_NEXT) from away
        except (aiohttp.ClientError, TimeoutError, OSError) as broken:
            raise ArchiveUnreachable("The data service broke off its answer.", next_step="Try again.") from broken
        if answer.status >= 400:
            raise from_json(_error_of(content))
        return content, answer.headers

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(self.socket), limit=32))
            weakref.finalize(self, _let_go, self._session, asyncio.get_running_loop(), os.getpid())
        return self._session


def _let_go(session: aiohttp.ClientSession, loop: asyncio.AbstractEventLoop, pid: int) -> None:
    """What nobody closed is closed with its user, or its process; a forked child leaves its parent's alone."""
    connector = session.connector
    if connector is not None and pid == os.getpid():
        session.detach()
        with contextlib.suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(connector.close)


def _error_of(content: bytes) -> dict[str, Any]:
    try:
        told = json.loads(content)
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}
