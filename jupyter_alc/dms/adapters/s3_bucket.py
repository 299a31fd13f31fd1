"""One prefix of a bucket over aiohttp: signed questions, objects by key, pages of a listing."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import parse_qs, quote, unquote, urlencode, urlsplit

from yarl import URL

from jupyter_alc.core.errors import ArchiveUnreachable, BadInput, Denied, FileNotThere
from jupyter_alc.dms.adapters.answers import NotAnAnswer
from jupyter_alc.dms.adapters.asking import Asking
from jupyter_alc.dms.adapters.s3_answers import At, Page, at, can_be_name, error_from, objects, page, quoted
from jupyter_alc.dms.adapters.s3_signing import Signer
from jupyter_alc.dms.adapters.versions import http_seconds
from jupyter_alc.dms.entry import Entry

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection, Mapping

    import aiohttp

    from jupyter_alc.core.errors import AlcError
    from jupyter_alc.dms.adapters.interface import Take
    from jupyter_alc.dms.adapters.pipes import Head, Judge
    from jupyter_alc.dms.adapters.s3_signing import Renew

T = TypeVar("T")
_PAGE: Final = 1000
_SOON_READ: Final = 32 << 10  # bytes of an answer that are read on the loop
_NEAR: Final = 10  # keys: itself, perhaps some between, and what lies below
_REFUSED: Final = frozenset({400, 401, 403})
_EXAMPLE: Final = "Write s3://bucket/prefix?endpoint=https://host:port."


class Bucket:
    """Made of `s3://bucket/prefix?endpoint=http://host:port&region=…`; without `endpoint` it is Amazon's of the region.

    `top` is the prefix with its last slash, or "". `address` names the bucket on its server.
    """

    def __init__(self, url: str, credentials: Mapping[str, str], renew: Renew | None = None) -> None:
        parts, query = urlsplit(url), parse_qs(urlsplit(url).query)
        region = query.get("region", ["us-east-1"])[0]
        endpoint = URL(query.get("endpoint", [f"https://s3.{region}.amazonaws.com"])[0])
        if parts.scheme != "s3" or not parts.netloc or set(query) - {"endpoint", "region"}:
            raise BadInput(f"{url!r} is not an S3 address.", next_step=_EXAMPLE, field="url")
        if endpoint.scheme not in {"http", "https"} or not endpoint.host:
            raise BadInput(f"The endpoint in {url!r} is no address.", next_step=_EXAMPLE, field="url")
        self.name = parts.netloc
        self.address = f"{str(endpoint).rstrip('/')}/{quote(parts.netloc, safe='')}"
        top = unquote(parts.path).strip("/")
        self.top = f"{top}/" if top else ""
        self.signer, self._asking = Signer(region, credentials, renew), Asking()

    async def close(self) -> None:
        """Give back connections."""
        await self._asking.close()

    def key(self, path: str) -> str:
        """The key of a path; parts that can be no names here have none."""
        if path and not all(can_be_name(part) for part in path.split("/")):
            raise absent(path)
        try:
            (self.top + path).encode()
        except UnicodeEncodeError:
            raise absent(path) from None
        return self.top + path

    async def head(self, path: str, key: str) -> Entry | None:
        """The object of this very key; None when there is no such."""
        async with self.ask("HEAD", path, key, fine={200, 404}) as answer:
            if answer.status == 404:
                return None  # believed only together with the listing beside it
            etag, size = answer.headers.get("ETag", ""), answer.headers.get("Content-Length", "")
            if not etag or not size.isdigit():
                raise not_s3()
            modified = http_seconds(answer.headers.get("Last-Modified"))
            return Entry(path.rpartition("/")[2], "file", int(size), modified, quoted(etag))

    async def at(self, key: str) -> At:
        """What is at this key, and below it, by one listing as a rule."""
        text = await self._list(key, {"delimiter": "/", "max-keys": str(_NEAR)}, "")
        try:
            told = at(text, key)
        except (NotAnAnswer, ValueError) as error:
            raise not_s3() from error
        return told if told.folder is not None else At(told.file, (await self.page(f"{key}/", limit=1)).keys > 0)

    async def page(self, folder: str, *, more: str = "", limit: int | None = None) -> Page:
        """What lies below the key prefix `folder` (with its slash), at most a thousand names of it, after `more`."""
        text = await self._list(folder, {"delimiter": "/", "max-keys": str(limit or _PAGE)}, more)
        try:
            return await _read(page, text, folder)
        except (NotAnAnswer, ValueError) as error:
            raise not_s3() from error

    async def below(self, prefix: str, most: int) -> dict[str, Entry] | None:
        """Every object whose key begins with `prefix`, by its key; None if there are more than `most`."""
        found, more = dict[str, Entry](), ""
        while True:
            text = await self._list(prefix, {"max-keys": str(_PAGE)}, more)
            try:
                told, more = await _read(objects, text, prefix)
            except (NotAnAnswer, ValueError) as error:
                raise not_s3() from error
            found |= told
            if len(found) > most:
                return None
            if not more:
                return found

    async def _list(self, prefix: str, words: Mapping[str, str], more: str) -> bytes:
        query = {"list-type": "2", "encoding-type": "url", "prefix": prefix, **words}
        if more:
            query["continuation-token"] = more
        url = URL(f"{self.address}?{urlencode(query, quote_via=quote, safe='')}", encoded=True)
        path = prefix.removeprefix(self.top).rstrip("/")
        return (await self._through_a_pipe(path, url, {}, lambda _: None, _untaken, {200}, whole=True)).body

    @asynccontextmanager
    async def ask(
        self,
        verb: str,
        path: str,
        key: str,
        *,
        fine: Collection[int],
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: Callable[[], Any] | None = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Sign and send; refused with keys or a clock that can be mended, it is signed and sent once more.

        `body` is called for each sending.
        """
        asked = f"?{urlencode(query, quote_via=quote, safe='')}" if query else ""
        url = URL(f"{self._address_of(key)}{asked}", encoded=True)
        for again in (True, False):
            signed = await self.signer.headers(verb, url, headers or {})
            generation = self.signer.generation
            async with self._asking.sent(verb, url, headers=signed, data=body() if body else None) as answer:
                if answer.status in fine:
                    yield answer
                    return
                problem = error_from(answer.status, verb, path, await answer.content.read(1 << 16))
                status, told = answer.status, answer.headers
            if not (again and status in _REFUSED and await self.signer.mend(told, generation)):
                raise self._refusal(status, problem)

    async def piped(
        self, path: str, key: str, headers: Mapping[str, str], judge: Judge, take: Take, *, fine: Collection[int]
    ) -> None:
        """GET an object through a pipe, signed as `ask` does."""
        url = URL(self._address_of(key), encoded=True)
        await self._through_a_pipe(path, url, headers, judge, take, fine)

    async def approach(self) -> None:
        """Have a connection that the next question finds."""
        await self._asking.approach(URL(self.address, encoded=True))

    async def _through_a_pipe(  # noqa: PLR0917  (as `piped` has them)
        self,
        path: str,
        url: URL,
        headers: Mapping[str, str],
        judge: Judge,
        take: Take,
        fine: Collection[int],
        *,
        whole: bool = False,
    ) -> Head:
        for again in (True, False):
            signed = await self.signer.headers("GET", url, headers)
            generation = self.signer.generation
            head = await self._asking.piped(url, signed, judge, take, whole=whole)
            if head.status in fine:
                break
            if not (again and head.status in _REFUSED and await self.signer.mend(head.headers, generation)):
                raise self._refusal(head.status, error_from(head.status, "GET", path, head.body))
        return head

    def _refusal(self, status: int, problem: AlcError) -> AlcError:
        """Ceph refuses keys that have ended as what they never opened."""
        return _keys_ended() if status in _REFUSED and self.signer.ended else problem

    def _address_of(self, key: str) -> str:
        return f"{self.address}/{quote(key, safe='/')}" if key else self.address


def _untaken(_at: int, _piece: memoryview) -> None:
    """No part of an answer is wanted."""


def absent(path: str) -> FileNotThere:
    """What is said of a path of which the archive told that nothing is there."""
    shown = path.encode("utf-8", "backslashreplace").decode()
    return FileNotThere(f"{shown} is not in the archive.", next_step="List its folder to see what is.")


def _keys_ended() -> Denied:
    return Denied(
        "The session keys for the archive have ended.",
        next_step="Nothing is lost: new ones come from the Hub; else start your server again.",
        field="credentials",
    )


def not_s3() -> ArchiveUnreachable:
    """What is said of an answer that makes no sense."""
    return ArchiveUnreachable("The archive's answer is not S3.", next_step="Check the dataset's url in the catalogue.")


async def _read(words: Callable[[bytes, str], T], text: bytes, prefix: str) -> T:
    """What `words` make of an answer: a thousand names take long enough to hold up a loop (R16)."""
    return words(text, prefix) if len(text) < _SOON_READ else await asyncio.to_thread(words, text, prefix)
