"""S3 over aiohttp (Ceph first): signed ranged reads bound to their version, listings by pages, folders out of keys."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs, quote, unquote, urlencode, urlsplit

from yarl import URL

from jupyter_alc.core.errors import ArchiveUnreachable, BadInput, FileNotThere, NotFolder
from jupyter_alc.dms.adapters.answers import NotAnAnswer
from jupyter_alc.dms.adapters.asking import Asking
from jupyter_alc.dms.adapters.interface import Capabilities
from jupyter_alc.dms.adapters.ranged import FINE, RangedReads
from jupyter_alc.dms.adapters.s3_answers import Page, error_from, folder_entry, is_name, page, quoted, settled
from jupyter_alc.dms.adapters.s3_signing import Signer
from jupyter_alc.dms.adapters.versions import http_seconds
from jupyter_alc.dms.entry import Entry

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Mapping

    import aiohttp

    from jupyter_alc.dms.adapters.s3_signing import Renew

_PAGE: Final = 1000
_REFUSED: Final = frozenset({400, 401, 403})
_EXAMPLE: Final = "Write s3://bucket/prefix?endpoint=https://host:port."


class S3Adapter(RangedReads):
    """The keys below one prefix of a bucket: `s3://bucket/prefix?endpoint=http://host:port&region=…`.

    Without `endpoint` it is Amazon's of the region. `credentials` and `renew` are those of `s3_signing.Signer`.
    """

    def __init__(self, url: str, credentials: Mapping[str, str], renew: Renew | None = None) -> None:
        parts, query = urlsplit(url), parse_qs(urlsplit(url).query)
        region = query.get("region", ["us-east-1"])[0]
        endpoint = URL(query.get("endpoint", [f"https://s3.{region}.amazonaws.com"])[0])
        if parts.scheme != "s3" or not parts.netloc or set(query) - {"endpoint", "region"}:
            raise BadInput(f"{url!r} is not an S3 address.", next_step=_EXAMPLE, field="url")
        if endpoint.scheme not in {"http", "https"} or not endpoint.host:
            raise BadInput(f"The endpoint in {url!r} is no address.", next_step=_EXAMPLE, field="url")
        self._bucket = f"{str(endpoint).rstrip('/')}/{quote(parts.netloc, safe='')}"
        top = unquote(parts.path).strip("/")
        self._top = f"{top}/" if top else ""
        self._signer, self._asking = Signer(region, credentials, renew), Asking()

    @property
    def capabilities(self) -> Capabilities:
        """Any range, sixteen at once."""
        return Capabilities(parallel=16)

    async def close(self) -> None:
        """Give back connections."""
        await self._asking.close()

    async def info(self, path: str) -> Entry:
        """A HEAD, and beside it a look whether keys lie below: then it is a folder, whatever the HEAD says."""
        name, key = path.rpartition("/")[2], self._key(path)
        if not path:
            await self._page(self._top, limit=1)
            return folder_entry(name)
        below, file = await asyncio.gather(
            self._page(f"{key}/", limit=1), self._head(path, key), return_exceptions=True
        )
        for told in (below, file):
            if isinstance(told, BaseException):
                raise told
        assert isinstance(below, Page)
        if below.keys:
            return folder_entry(name)
        if not isinstance(file, Entry):
            raise _absent(path)
        return file

    async def listing(self, path: str) -> list[Entry]:
        """All pages."""
        return [one async for told in self.listing_pages(path) for one in told]

    async def listing_pages(self, path: str) -> AsyncIterator[list[Entry]]:
        """One request for each thousand names. A file and a folder of one name are the folder."""
        folder = f"{self._key(path)}/" if path else self._top
        told, waiting = await self._page(folder), list[Entry]()
        if path and not told.keys:
            await self._not_a_folder(path)
        while True:
            shown, waiting = settled(waiting, told)
            yield shown
            if not told.more:
                return
            following = await self._page(folder, more=told.more)
            if following.more == told.more:
                raise _not_s3()
            told = following

    @asynccontextmanager
    async def _get(self, path: str, headers: Mapping[str, str]) -> AsyncIterator[aiohttp.ClientResponse]:
        async with self._ask("GET", path, self._key(path), headers=headers, fine=FINE) as answer:
            yield answer

    async def _head(self, path: str, key: str) -> Entry | None:
        """The object of this very key; None when there is no such."""
        async with self._ask("HEAD", path, key, fine={200, 404}) as answer:
            if answer.status == 404:
                return None  # believed only together with the listing beside it
            etag, size = answer.headers.get("ETag", ""), answer.headers.get("Content-Length", "")
            if not etag or not size.isdigit():
                raise _not_s3()
            modified = http_seconds(answer.headers.get("Last-Modified"))
            return Entry(path.rpartition("/")[2], "file", int(size), modified, quoted(etag))

    async def _page(self, folder: str, *, more: str = "", limit: int | None = None) -> Page:
        query = {
            "list-type": "2",
            "delimiter": "/",
            "encoding-type": "url",
            "max-keys": str(limit or _PAGE),
            "prefix": folder,
        }
        if more:
            query["continuation-token"] = more
        async with self._ask("GET", folder.removeprefix(self._top).rstrip("/"), "", query=query, fine={200}) as answer:
            text = await answer.read()
        try:
            return page(text, folder)
        except (NotAnAnswer, ValueError) as error:
            raise _not_s3() from error

    async def _not_a_folder(self, path: str) -> None:
        if await self._head(path, self._key(path)) is not None:
            raise NotFolder(f"{path} is a file.", next_step="List its folder.")
        raise _absent(path)

    def _key(self, path: str) -> str:
        """The key of a path; parts that can be no names here have none."""
        if path and not all(is_name(part) for part in path.split("/")):
            raise _absent(path)
        try:
            (self._top + path).encode()
        except UnicodeEncodeError:
            raise _absent(path) from None
        return self._top + path

    @asynccontextmanager
    async def _ask(
        self,
        verb: str,
        path: str,
        key: str,
        *,
        fine: Collection[int],
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        **more: Any,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Sign and send; refused with keys or a clock that can be mended, it is signed and sent once more."""
        tail = f"/{quote(key, safe='/')}" if key else ""
        asked = f"?{urlencode(query, quote_via=quote, safe='')}" if query else ""
        url = URL(f"{self._bucket}{tail}{asked}", encoded=True)
        for again in (True, False):
            signed = await self._signer.headers(verb, url, headers or {})
            generation = self._signer.generation
            async with self._asking.sent(verb, url, headers=signed, **more) as answer:
                if answer.status in fine:
                    yield answer
                    return
                problem = error_from(answer.status, verb, path, await answer.content.read(1 << 16))
                status, told = answer.status, answer.headers
            if not (again and status in _REFUSED and await self._signer.mend(told, generation)):
                raise problem


def _absent(path: str) -> FileNotThere:
    shown = path.encode("utf-8", "backslashreplace").decode()
    return FileNotThere(f"{shown} is not in the archive.", next_step="List its folder to see what is.")


def _not_s3() -> ArchiveUnreachable:
    return ArchiveUnreachable("The archive's answer is not S3.", next_step="Check the dataset's url in the catalogue.")
