"""The daemon's Unix socket, asked asynchronously: for the server extension, the magics' server side and `dms://`."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import weakref
from typing import TYPE_CHECKING, Any, Final, TypedDict, Unpack
from urllib.parse import quote

import aiohttp

from jupyter_alc.core.errors import AlcError, ArchiveUnreachable, Unavailable, from_json
from jupyter_alc.dms.ranges import extent

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterable, Mapping, Sequence
    from pathlib import Path

    from jupyter_alc.dms.many import Asked, Got
    from jupyter_alc.dms.ranges import Range

_BASE: Final = "http://dms/v1"
_CONNECT_SECONDS: Final = 10.0
_ANSWER_SECONDS: Final = 120.0
_WALK_SECONDS: Final = 600.0  # a folder of a million files is listed by as many pages as it has
_NEXT: Final = "Start your server again; if it stays away, tell the facility's support."


class _Asked(TypedDict, total=False):
    query: Mapping[str, str]
    body: bytes | AsyncIterable[bytes]
    seconds: float


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
        answer = await self._json("GET", "/ls", query={"path": path}, seconds=_WALK_SECONDS)
        entries: list[dict[str, Any]] = answer["entries"]
        return sorted(entries, key=lambda one: str(one["name"])) if path.strip("/") else entries

    async def part(self, path: str, after: str, limit: int) -> dict[str, Any]:
        """`{"entries", "next", "coming"}`: at most `limit` names behind the name `after`."""
        return await self._json("GET", "/ls", query={"path": path, "after": after, "limit": str(limit)})

    async def refresh(self, path: str) -> None:
        """Ask the archive about `path` now."""
        await self._json("POST", "/refresh", body=_told(path=path))

    async def files(self, path: str, after: str = "", limit: int = 1000) -> dict[str, Any]:
        """`{"entries", "next", "coming"}` as `part` has them, each with its `state` and how many bytes are here."""
        return await self._json("GET", "/files", query={"path": path, "after": after, "limit": str(limit)})

    async def readers(self) -> list[dict[str, Any]]:
        """What each reader, a session of processes, needed and what moved for it."""
        found: list[dict[str, Any]] = (await self._json("GET", "/readers"))["readers"]
        return found

    async def metrics(self) -> str:
        """The service's counts as Prometheus reads them."""
        return (await self._ask("GET", "/metrics")).decode()

    async def read(
        self, path: str, start: int = 0, stop: int | None = None, token: str = "", reader: str = ""
    ) -> bytes:
        """Bytes `start`..`stop` of a file, of the version `token` if one is named; a `reader` is one stream."""
        query = {"path": path, "start": str(start), "token": token, "reader": reader}
        return await self._ask("GET", "/read", query=query | ({} if stop is None else {"stop": str(stop)}))

    async def ranges(self, path: str, wanted: Sequence[Range], token: str = "") -> list[bytes]:
        """The bytes of each range, all of one version, by one request."""
        told = _told(path=path, token=token, ranges=wanted)
        content, head = await self._answer("POST", "/ranges", body=told)
        found, place = [], 0
        for each in wanted:
            first, end = extent(int(head["Dms-Size"]), *each)
            found.append(content[place : place + end - first])
            place += end - first
        return found

    async def many(self, wanted: Sequence[Asked]) -> list[Got]:
        """The bytes of ranges of several files, by one request; an error in the place of each that failed."""
        told = _told(files=[one._asdict() for one in wanted])
        head, _, content = (await self._ask("POST", "/many", body=told)).partition(b"\n")
        found: list[Got] = []
        place = 0
        for one in json.loads(head):
            if "lengths" not in one:
                found.append(from_json(one))
                continue
            got = []
            for length in one["lengths"]:
                got.append(content[place : place + length])
                place += length
            found.append(got)
        return found

    async def put(self, path: str, pieces: AsyncIterable[bytes], *, exclusive: bool = False) -> None:
        """Write a whole file; visible when all pieces are there."""
        await self._ask("PUT", "/file", query={"path": path, "exclusive": str(int(exclusive))}, body=pieces)

    async def mkdir(self, path: str) -> None:
        """Make a folder."""
        await self._json("POST", "/mkdir", body=_told(path=path))

    async def rmdir(self, path: str) -> None:
        """Remove an empty folder."""
        await self._ask("DELETE", "/folder", query={"path": path})

    async def remove(self, path: str) -> None:
        """Remove a file."""
        await self._ask("DELETE", "/file", query={"path": path})

    async def move(self, old: str, new: str) -> None:
        """Rename inside one dataset."""
        await self._json("POST", "/move", body=_told(**{"from": old, "to": new}))

    async def flush(self, deadline_seconds: float) -> dict[str, Any]:
        """Send what is unsent, wait so long at most: `{"unsent": [what is left]}`."""
        told = _told(deadline_seconds=deadline_seconds)
        return await self._json("POST", "/flush", body=told, seconds=deadline_seconds + _ANSWER_SECONDS)

    async def plan(self, path: str) -> dict[str, Any]:
        """What fetching a file or folder would mean, see `jupyter_alc.dms.transfers.access.Transferring`."""
        return await self._json("GET", "/plan", query={"path": path}, seconds=_WALK_SECONDS)

    async def fetch(
        self, paths: Sequence[str], *, connections: int | None = None, bytes_per_second: int | None = None
    ) -> dict[str, Any]:
        """Begin to bring files and folders into the cache: the transfer."""
        given = {"connections": connections, "bytes_per_second": bytes_per_second}
        told = _told(paths=list(paths), **{name: number for name, number in given.items() if number is not None})
        return await self._json("POST", "/transfers", body=told)

    async def transfers(self) -> list[dict[str, Any]]:
        """All transfers, the newest first."""
        found: list[dict[str, Any]] = (await self._json("GET", "/transfers"))["transfers"]
        return found

    async def transfer(self, id: str) -> dict[str, Any]:
        """One transfer."""
        return await self._json("GET", f"/transfers/{_part(id)}")

    async def resume(self, id: str) -> dict[str, Any]:
        """Go on with a transfer that ended before all was here."""
        return await self._json("POST", f"/transfers/{_part(id)}/resume")

    async def cancel(self, id: str) -> dict[str, Any]:
        """End a transfer; what has come stays."""
        return await self._json("DELETE", f"/transfers/{_part(id)}")

    async def history(self, path: str = "", limit: int = 100) -> list[dict[str, Any]]:
        """What happened to the data at and below `path`, the newest first."""
        query = {"path": path, "limit": str(limit)}
        found: list[dict[str, Any]] = (await self._json("GET", "/history", query=query))["events"]
        return found

    async def mount(self, dataset: str) -> dict[str, Any]:
        """Let a dataset of this session come back into the folder."""
        return await self._json("POST", "/mounts", body=_told(dataset=dataset))

    async def unmount(self, dataset: str) -> dict[str, Any]:
        """Let a dataset of this session leave the folder; what is unsent of it is told."""
        return await self._json("DELETE", f"/mounts/{_part(dataset)}")

    async def events(self) -> AsyncGenerator[dict[str, str]]:
        """`{"what", "path"}` of each change from now on, what: data, transfer or names; ends when the service does."""
        deadline = aiohttp.ClientTimeout(sock_connect=_CONNECT_SECONDS, sock_read=_ANSWER_SECONDS)
        async with self._request("GET", "/events", timeout=deadline) as answer:
            if answer.status >= 400:
                raise from_json(_error_of(await answer.read()))
            async for line in answer.content:
                if line.startswith(b"data:"):
                    yield json.loads(line[5:])

    async def close(self) -> None:
        """Let go of the socket."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _json(self, method: str, route: str, **asked: Unpack[_Asked]) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(await self._ask(method, route, **asked))
        return answer

    async def _ask(self, method: str, route: str, **asked: Unpack[_Asked]) -> bytes:
        return (await self._answer(method, route, **asked))[0]

    async def _answer(self, method: str, route: str, **asked: Unpack[_Asked]) -> tuple[bytes, Mapping[str, str]]:
        deadline = aiohttp.ClientTimeout(sock_connect=_CONNECT_SECONDS, sock_read=asked.get("seconds", _ANSWER_SECONDS))
        query, body = asked.get("query"), asked.get("body")
        async with self._request(method, route, params=query, data=body, timeout=deadline) as answer:
            content, head = await answer.read(), answer.headers
        if answer.status >= 400:
            raise from_json(_error_of(content))
        return content, head

    @contextlib.asynccontextmanager
    async def _request(self, method: str, route: str, **more: Any) -> AsyncGenerator[aiohttp.ClientResponse]:
        try:
            async with self._opened().request(method, _BASE + route, **more) as answer:
                yield answer
        except aiohttp.ClientConnectorError as away:
            raise Unavailable(f"The data service does not answer at {self.socket}.", next_step=_NEXT) from away
        except (aiohttp.ClientError, TimeoutError, OSError) as broken:
            if isinstance(broken, AlcError):
                raise
            raise ArchiveUnreachable("The data service broke off its answer.", next_step="Try again.") from broken

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
            loop.call_soon_threadsafe(lambda: asyncio.run_coroutine_threadsafe(_closed(connector), loop))


async def _closed(connector: aiohttp.BaseConnector) -> None:
    await connector.close()


def _told(**fields: Any) -> bytes:
    return json.dumps(fields).encode()


def _part(text: str) -> str:
    """A name as one part of an address."""
    return quote(text, safe="")


def _error_of(content: bytes) -> dict[str, Any]:
    try:
        told = json.loads(content)
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}
