"""One HTTP session to an archive: who is busy is asked again, and what breaks on the way becomes one of our errors."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import http.client
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import aiohttp
from yarl import URL

from jupyter_alc.core.errors import AlcError, ArchiveUnreachable, FileNotThere
from jupyter_alc.dms.adapters.pipes import Pipes
from jupyter_alc.dms.adapters.statuses import BUSY, error_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Mapping

    from jupyter_alc.dms.adapters.interface import Take
    from jupyter_alc.dms.adapters.pipes import Head, Judge

_WAITS: Final = (0.1, 0.3, 0.9)
_LONGEST_WAIT: Final = 5.0
_READS: Final = frozenset({"GET", "HEAD", "PROPFIND"})
_BUFFER: Final = 1 << 20
_MOST_REDIRECTS: Final = 10
MOVED: Final = frozenset({301, 302, 303, 307, 308})
"""The answer is elsewhere."""


class Asking:
    """Connections to one archive, opened at the first question; `headers` go along with each.

    Bodies come as they are stored, never unpacked, since ranges count stored bytes.
    """

    def __init__(self, headers: Mapping[str, str] | None = None) -> None:
        self._headers = {"Accept-Encoding": "identity", **(headers or {})}
        self._pipes = Pipes()
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Give back connections."""
        self._pipes.close()
        self._pipes = Pipes()
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def piped(
        self,
        url: URL,
        headers: Mapping[str, str],
        judge: Judge,
        take: Take,
        *,
        redirects: bool = False,
        whole: bool = False,
    ) -> Head:
        """GET `url` through a pipe, and again while the archive is busy; no answer is `ArchiveUnreachable`."""
        sent = {**self._headers, **headers}
        try:
            for _ in range(_MOST_REDIRECTS if redirects else 1):
                head = await self._piped(url, sent, judge, take, whole=whole)
                to = head.headers.get("Location", "") if redirects and head.status in MOVED else ""
                if not to:
                    return head
                before, url = url, url.join(URL(to, encoded=True))
                if url.scheme not in {"http", "https"}:
                    return head
                if url.origin() != before.origin():
                    sent.pop("Authorization", None)
        except (OSError, http.client.HTTPException) as error:
            if isinstance(error, AlcError):
                raise
            raise _no_answer() from error
        return head

    async def approach(self, url: URL) -> None:
        """Have a connection that the next question through a pipe finds, if that can be."""
        with contextlib.suppress(OSError):
            await self._pipes.dial(url)

    async def _piped(self, url: URL, headers: Mapping[str, str], judge: Judge, take: Take, *, whole: bool) -> Head:
        for wait in _WAITS:
            head = await self._pipes.get(url, headers, judge, take, whole=whole)
            if head.status not in BUSY:
                return head
            await asyncio.sleep(_told_wait(head.headers.get("Retry-After", ""), wait))
        return await self._pipes.get(url, headers, judge, take, whole=whole)

    @asynccontextmanager
    async def ask(
        self, verb: str, url: URL, path: str, *, fine: Collection[int], **more: Any
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send one request; a status that is not `fine` is an error about `path`."""
        async with self.sent(verb, url, **more) as answer:
            if answer.status not in fine:
                raise error_of(answer.status, verb, path)
            yield answer

    @asynccontextmanager
    async def sent(
        self, verb: str, url: URL, *, redirects: bool = False, **more: Any
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send one request and hand over the answer whatever its status; no answer is `ArchiveUnreachable`."""
        try:
            answer = await self._not_busy(verb, url, allow_redirects=redirects, **more)
            try:
                yield answer
            finally:
                answer.release()
        except (aiohttp.ClientError, TimeoutError, ConnectionError) as error:
            if isinstance(error, ArchiveUnreachable):
                raise
            raise _no_answer() from error

    async def _not_busy(self, verb: str, url: URL, **more: Any) -> aiohttp.ClientResponse:
        """Ask; reads wait a little and ask again as often as `_WAITS` says while the archive is busy."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                headers=self._headers,
                connector=aiohttp.TCPConnector(limit=64),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=10),
                auto_decompress=False,
                read_bufsize=_BUFFER,
            )
        for wait in _WAITS if verb in _READS else ():
            answer = await self._session.request(verb, url, **more)
            if answer.status not in BUSY:
                return answer
            answer.release()
            await asyncio.sleep(_told_wait(answer.headers.get("Retry-After", ""), wait))
        return await self._session.request(verb, url, **more)


def _no_answer() -> ArchiveUnreachable:
    return ArchiveUnreachable("The archive does not answer.", next_step="Nothing is lost; try again when it is back.")


def _told_wait(told: str, otherwise: float) -> float:
    return min(float(told), _LONGEST_WAIT) if told.isascii() and told.isdigit() else otherwise


def authorization(credentials: Mapping[str, str]) -> dict[str, str]:
    """The header for a bearer `token`, or for `username` and `password`; none for neither."""
    if "token" in credentials:
        return {"Authorization": f"Bearer {credentials['token']}"}
    if "username" in credentials:
        login = f"{credentials['username']}:{credentials.get('password', '')}".encode()
        return {"Authorization": f"Basic {base64.b64encode(login).decode()}"}
    return {}


def below(base: URL, path: str, *, folder: bool = False) -> URL:
    """The address of `path` below `base`, each name encoded; what an address cannot say is `FileNotThere`."""
    parts = [part for part in path.split("/") if part]
    try:
        tail = "/".join(quote(part, safe="") for part in parts)
    except UnicodeEncodeError:  # bytes of a local name that are no text; an address is text
        tail = ".."
    if not {".", ".."}.isdisjoint(tail.split("/")):  # the server would resolve them, and leave the dataset
        raise FileNotThere(f"{path!a} cannot be in the archive.", next_step="Use names of printable text.")
    text = f"{base}/{tail}" if tail else str(base)
    return URL(f"{text}/" if folder or not tail else text, encoded=True)
