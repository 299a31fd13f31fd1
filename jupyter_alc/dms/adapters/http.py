"""Any server of files over HTTP: ranges where it has them, versions as it tells them, folders from its index."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from yarl import URL

from jupyter_alc.core.errors import BadInput, Denied, FileNotThere
from jupyter_alc.dms.adapters.answers import NotAnAnswer
from jupyter_alc.dms.adapters.asking import MOVED, Asking, authorization, below
from jupyter_alc.dms.adapters.indexes import can_be_index, folder_entry, index
from jupyter_alc.dms.adapters.interface import AnsweredBadly, Capabilities
from jupyter_alc.dms.adapters.ranged import FINE, HEADED, RangedReads
from jupyter_alc.dms.adapters.statuses import error_of
from jupyter_alc.dms.adapters.versions import http_seconds, is_weak, server_time, token_of
from jupyter_alc.dms.addresses import without_secrets
from jupyter_alc.dms.entry import Entry

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from contextlib import AbstractAsyncContextManager

    import aiohttp

    from jupyter_alc.dms.adapters.indexes import Index
    from jupyter_alc.dms.adapters.interface import Take
    from jupyter_alc.dms.adapters.pipes import Head, Judge, Part


class HttpAdapter(RangedReads):
    """The files below one address; `credentials` hold `username` and `password`, or a bearer `token`."""

    def __init__(self, url: str, credentials: Mapping[str, str]) -> None:
        self._base = URL(url.rstrip("/"), encoded=True)
        if self._base.scheme not in {"http", "https"} or not self._base.host:
            raise BadInput(f"{url!r} is not a web address.", next_step="Write https://host/folder.", field="url")
        if self._base.raw_query_string or self._base.raw_fragment:  # names go behind a path
            raise BadInput(
                f"{without_secrets(url)!r} is no folder's address: it has a query or a fragment.",
                next_step="Write https://host/folder.",
                field="url",
            )
        self._asking = Asking(authorization(credentials))
        self._ranges = "full"

    @property
    def capabilities(self) -> Capabilities:
        """`ranges` sharpens with the first answers."""
        return Capabilities(ranges=self._ranges, unlisted=".")

    async def close(self) -> None:
        """Give back connections."""
        await self._asking.close()

    async def approach(self) -> None:
        """Have a connection that the next range finds."""
        await self._asking.approach(self._base)

    async def info(self, path: str) -> Entry:
        """One HEAD; a server that sends on to the same address with a slash means a folder."""
        name, url = path.rpartition("/")[2], below(self._base, path)
        if not path:
            async with self._asking.ask("GET", url, path, fine={200, 403}):
                return folder_entry("")
        async with self._asking.sent("HEAD", url) as answer:
            status, to = answer.status, urlsplit(answer.headers.get("Location", "")).path
            if status == 200 and not _is_page(name, answer):
                return self._entry(name, path, answer)
        if status == 200:
            return await self._folder_or_page(name, path)
        if status not in MOVED:
            raise error_of(status, "HEAD", path)
        if to.endswith(f"{url.raw_path.rpartition('/')[2]}/"):
            return folder_entry(name)
        async with self._asking.ask("HEAD", url, path, fine={200}, redirects=True) as answer:
            if _is_page(name, answer):
                raise _page(path)
            return self._entry(name, path, answer)

    async def _folder_or_page(self, name: str, path: str) -> Entry:
        """Some servers show a folder's index without sending on; any other page is not what was asked for."""
        try:
            await self._index(path)
        except FileNotThere as error:
            raise _page(path) from error
        return folder_entry(name)

    async def listing(self, path: str) -> list[Entry]:
        """The folder's index, and a HEAD for each file of which it tells the name only."""
        told = await self._index(path)
        turn = asyncio.Semaphore(self.capabilities.parallel)

        async def look(name: str) -> Entry:
            async with turn:
                return await self.info(f"{path}/{name}" if path else name)

        seen = await asyncio.gather(*map(look, told.names), return_exceptions=True)
        for one in seen:
            if isinstance(one, BaseException) and not isinstance(one, FileNotThere):  # what went meanwhile is left out
                raise one
        return [*told.entries, *(one for one in seen if isinstance(one, Entry))]

    async def _index(self, path: str) -> Index:
        url = below(self._base, path, folder=True)
        async with self._asking.sent("GET", url) as answer:
            kind, now = answer.content_type, server_time(answer.headers.get("Date"))
            if answer.status == 403:
                raise Denied(f"The server does not list {path or 'its top'}.", next_step="Read files by their names.")
            if answer.status != 200:
                raise error_of(answer.status, "GET", path)
            if not can_be_index(kind):  # a file, of whatever size, from a server that takes no notice of the slash
                answer.close()
                raise _no_index(path)
            text = await answer.read()
        try:
            return index(text, kind, url.raw_path, now)
        except NotAnAnswer as error:
            raise _no_index(path) from error

    def _head(self, path: str, headers: Mapping[str, str]) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        url = below(self._base, path)
        return self._asking.ask("HEAD", url, path, fine=HEADED, headers=headers, redirects=True)

    @asynccontextmanager
    async def _get(self, path: str, headers: Mapping[str, str]) -> AsyncIterator[aiohttp.ClientResponse]:
        url = below(self._base, path)
        async with self._asking.ask("GET", url, path, fine=FINE, headers=headers, redirects=True) as answer:
            if "Range" in headers and answer.status == 200:
                self._ranges = "none"
            yield answer

    async def _piped(self, path: str, headers: Mapping[str, str], judge: Judge, take: Take) -> None:
        def judged(answer: Head) -> Part | None:
            if answer.status == 200:
                self._ranges = "none"
            return judge(answer)

        head = await self._asking.piped(below(self._base, path), headers, judged, take, redirects=True)
        if head.status not in FINE:
            raise error_of(head.status, "GET", path)

    def _entry(self, name: str, path: str, answer: aiohttp.ClientResponse) -> Entry:
        told = answer.headers
        etag, size, modified = (
            told.get("ETag", ""),
            told.get("Content-Length", ""),
            http_seconds(told.get("Last-Modified")),
        )
        if not size.isdigit():
            raise AnsweredBadly(f"The server does not tell the size of {path}.", next_step="Try again.")
        if told.get("Accept-Ranges", "").strip().lower() == "none":
            self._ranges = "none"
        # an ETag made of the time says no more than an index does: one token for both
        token = token_of("" if is_weak(etag, modified) else etag, modified, int(size), server_time(told.get("Date")))
        return Entry(name, "file", int(size), modified, token)


def _is_page(name: str, answer: aiohttp.ClientResponse) -> bool:
    """Whether this is an HTML page, and none that somebody keeps there under this name."""
    versions = {"ETag", "Last-Modified"} & set(answer.headers)
    return answer.content_type == "text/html" and not versions and not name.lower().endswith((".html", ".htm"))


def _no_index(path: str) -> AnsweredBadly:
    return AnsweredBadly(f"The server shows no index of {path or 'its top'}.", next_step="Read files by their names.")


def _page(path: str) -> AnsweredBadly:
    return AnsweredBadly(f"The server sent a page in place of {path}.", next_step="Try again, or sign in to it.")
