"""WebDAV over aiohttp: bounded ranges, every read bound to its version, uploads that become visible in one step."""

from __future__ import annotations

import base64
import re
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, unquote

import aiohttp
from yarl import URL

from jupyter_alc.core.errors import (
    ArchiveUnreachable,
    BadInput,
    Exists,
    FileNotThere,
    NotEmpty,
    NotFolder,
    VersionChanged,
)
from jupyter_alc.dms.adapters import propfind
from jupyter_alc.dms.adapters.interface import HIDDEN, Capabilities, Sent, hidden_path
from jupyter_alc.dms.adapters.statuses import error_of
from jupyter_alc.dms.entry import Entry
from jupyter_alc.dms.tokens import bare, same_version

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

_PIECE: Final = 256 * 1024
_CONTENT_RANGE: Final = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")
_CHECK_THEN_MOVE: Final = (
    "This archive compares and replaces in two steps: two writers within the same moment may overwrite each other."
)
_SECONDS_ONLY: Final = " Its version tokens are times in whole seconds: two writes within one second look like one."


class WebdavAdapter:
    """One folder of a WebDAV server; `credentials` hold `username` and `password`, or a bearer `token`."""

    def __init__(self, url: str, credentials: Mapping[str, str]) -> None:
        self._base = URL(url.rstrip("/"), encoded=True)
        if self._base.scheme not in {"http", "https"} or not self._base.host:
            raise BadInput(f"{url!r} is not a WebDAV address.", next_step="Write http://host:port/folder.", field="url")
        self._headers = {"Accept-Encoding": "identity", **_authorization(credentials)}
        self._session: aiohttp.ClientSession | None = None
        self._weak = False

    @property
    def capabilities(self) -> Capabilities:
        """Sharpens when the first tokens were seen."""
        return Capabilities(guarantee=_CHECK_THEN_MOVE + (_SECONDS_ONLY if self._weak else ""), forbidden="?;")

    async def close(self) -> None:
        """Give back connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def info(self, path: str) -> Entry:
        """One PROPFIND of depth 0."""
        found, now = await self._propfind(path, depth=0)
        return self._entry(found[0], now) if found else _absent(path)

    async def listing(self, path: str) -> list[Entry]:
        """One PROPFIND of depth 1, for the four properties we use."""
        found, now = await self._propfind(path, depth=1, folder=True)
        itself = unquote(self._url(path).raw_path).rstrip("/")
        own = next((one for one in found if one.path == itself), None)
        if own is not None and not own.folder:
            raise NotFolder(f"{path} is a file.", next_step="List its folder.")
        inside = [one for one in found if one.path.rpartition("/")[0] == itself and one is not own]
        return [self._entry(one, now) for one in inside if not one.path.rpartition("/")[2].startswith(HIDDEN)]

    async def read_range(self, path: str, start: int, stop: int, if_token: str) -> bytes:
        """One GET of `bytes=start-(stop-1)`, with If-Match and a look at the ETag that came back."""
        if start >= stop:
            return b""
        etag = bare(if_token)
        headers = {"Range": f"bytes={start}-{stop - 1}"}
        if etag and not etag.startswith(("W/", propfind.MADE)):  # a server without ETags would refuse any
            headers["If-Match"] = etag
        async with self._ask("GET", path, headers=headers, fine={200, 206}) as answer:
            if not self._same(answer, etag):
                answer.close()
                raise _changed(path)
            if answer.status == 206:
                return await _partial(answer, path, start, stop)
            return await _from_whole(answer, path, start, stop)

    async def upload(self, path: str, source: Path, upload_id: str, sent: Sent) -> str:
        """PUT under a hidden name in the same folder."""
        hidden = hidden_path(path, upload_id)
        size = source.stat().st_size  # noqa: ASYNC240  (one stat of a local file)
        headers = {"Content-Length": str(size), "Content-Type": "application/octet-stream"}
        async with self._ask("PUT", hidden, headers=headers, data=_pieces(source, sent), fine={200, 201, 204}):
            return hidden

    async def publish(self, path: str, upload_id: str, *, base: str | None) -> Entry:
        """Check the version there, MOVE, and ask what is there now."""
        if base is not None:
            await self._check_base(path, base)
        overwrite = "F" if base is None else "T"
        headers = {"Destination": str(self._url(path)), "Overwrite": overwrite}
        try:
            async with self._ask("MOVE", hidden_path(path, upload_id), headers=headers, fine={201, 204}):
                pass
        except VersionChanged as error:
            raise _changed(path) from error
        return await self.info(path)

    async def discard(self, path: str, upload_id: str) -> None:
        """Remove a hidden name."""
        async with self._ask("DELETE", hidden_path(path, upload_id), fine={200, 204, 404}):
            pass

    async def mkdir(self, path: str) -> None:
        """MKCOL."""
        async with self._ask("MKCOL", path, folder=True, fine={201, 405}) as answer:
            refused = answer.status == 405
        if refused:  # said of a folder that is there, and by a server that makes none
            await self._must_be_missing(path)

    async def _must_be_missing(self, path: str) -> None:
        try:
            await self.info(path)
        except FileNotThere:
            raise error_of(405, "MKCOL", path) from None
        raise Exists(f"{path} is there already.", next_step="Use it, or choose another name.")

    async def delete(self, path: str, *, folder: bool) -> None:
        """DELETE; a folder is listed first, since WebDAV would take everything in it along."""
        if folder and await self.listing(path):
            raise NotEmpty(f"{path} is not empty.", next_step="Remove what is in it first.")
        async with self._ask("DELETE", path, folder=folder, fine={200, 204}):
            pass

    async def move(self, old: str, new: str, *, replace: bool) -> None:
        """MOVE."""
        headers = {"Destination": str(self._url(new)), "Overwrite": "T" if replace else "F"}
        try:
            async with self._ask("MOVE", old, headers=headers, fine={201, 204}):
                pass
        except VersionChanged as error:
            raise Exists(f"{new} is there already.", next_step="Choose another name.") from error

    async def _check_base(self, path: str, base: str) -> None:
        try:
            now = await self.info(path)
        except FileNotThere:
            return  # removed meanwhile: nothing of anybody's is overwritten
        if now.is_folder or not same_version(now.token, base):
            raise _changed(path)

    async def _propfind(self, path: str, *, depth: int, folder: bool = False) -> tuple[list[propfind.Found], float]:
        headers = {"Depth": str(depth), "Content-Type": "application/xml"}
        async with self._ask(
            "PROPFIND", path, headers=headers, data=propfind.REQUEST, folder=folder, fine={207}
        ) as answer:
            text = await answer.read()
            now = propfind.server_time(answer.headers.get("Date"))
        try:
            return propfind.parse(text), now
        except propfind.NotAnAnswer as error:
            raise ArchiveUnreachable(
                "The archive's answer is not WebDAV.", next_step="Check the dataset's url in the catalogue."
            ) from error

    def _entry(self, found: propfind.Found, now: float) -> Entry:
        name = found.path.rpartition("/")[2]
        if found.folder:
            return Entry(name, "directory", 0, found.modified, found.etag or '"folder"')
        self._weak = self._weak or propfind.is_weak(found.etag, found.modified)
        token = propfind.token_of(found.etag, found.modified, found.size, now)
        return Entry(name, "file", found.size, found.modified, token)

    @staticmethod
    def _same(answer: aiohttp.ClientResponse, etag: str) -> bool:
        if not etag.startswith(propfind.MADE):
            return answer.headers.get("ETag") == etag
        modified = propfind.server_time(answer.headers["Last-Modified"]) if "Last-Modified" in answer.headers else 0.0
        return etag.startswith(f"{propfind.MADE}{int(modified)}-")

    def _url(self, path: str, *, folder: bool = False) -> URL:
        try:
            tail = "/".join(quote(part, safe="") for part in path.split("/") if part)
        except UnicodeEncodeError:  # bytes of a local name that are no text; an address is text
            raise FileNotThere(
                f"{path!a} cannot be in the archive.", next_step="Use names of printable text."
            ) from None
        text = f"{self._base}/{tail}" if tail else str(self._base)
        return URL(f"{text}/" if folder or not tail else text, encoded=True)

    @asynccontextmanager
    async def _ask(
        self, verb: str, path: str, *, fine: set[int], folder: bool = False, **more: Any
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send one request; whatever is not `fine` becomes one of our errors, here and nowhere else."""
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=32)
            timeout = aiohttp.ClientTimeout(total=None, sock_connect=10)
            self._session = aiohttp.ClientSession(headers=self._headers, connector=connector, timeout=timeout)
        try:
            async with self._session.request(
                verb, self._url(path, folder=folder), allow_redirects=False, **more
            ) as answer:
                if answer.status not in fine:
                    raise error_of(answer.status, verb, path)
                yield answer
        except (aiohttp.ClientError, TimeoutError, ConnectionError) as error:
            if isinstance(error, ArchiveUnreachable):
                raise
            raise ArchiveUnreachable(
                "The archive does not answer.", next_step="Nothing is lost; try again when it is back."
            ) from error


def _authorization(credentials: Mapping[str, str]) -> dict[str, str]:
    if "token" in credentials:
        return {"Authorization": f"Bearer {credentials['token']}"}
    if "username" in credentials:
        login = f"{credentials['username']}:{credentials.get('password', '')}".encode()
        return {"Authorization": f"Basic {base64.b64encode(login).decode()}"}
    return {}


def _changed(path: str) -> VersionChanged:
    return VersionChanged(f"{path} changed in the archive.", next_step="Open it again to see the new version.")


def _absent(path: str) -> Entry:
    raise FileNotThere(f"{path} is not in the archive.", next_step="List its folder to see what is.")


async def _partial(answer: aiohttp.ClientResponse, path: str, start: int, stop: int) -> bytes:
    told = _CONTENT_RANGE.fullmatch(answer.headers.get("Content-Range", ""))
    if told is None or int(told[1]) != start or int(told[2]) != stop - 1:
        answer.close()
        raise _changed(path)
    return _whole_or_not(await answer.read(), stop - start)


async def _from_whole(answer: aiohttp.ClientResponse, path: str, start: int, stop: int) -> bytes:
    """A server without ranges sends everything from byte 0: take what is wanted, then hang up."""
    length = answer.content_length
    if length is not None and length < stop:
        answer.close()
        raise _changed(path)
    wanted, position = bytearray(), 0
    while position < stop:
        piece = await answer.content.read(min(_PIECE, stop - position))
        if not piece:
            break
        wanted += piece[max(0, start - position) :]
        position += len(piece)
    if length is None or length > stop:
        answer.close()
    return _whole_or_not(bytes(wanted), stop - start)


def _whole_or_not(got: bytes, wanted: int) -> bytes:
    if len(got) != wanted:
        raise ArchiveUnreachable("The archive broke off in the middle of a file.", next_step="Try again.")
    return got


async def _pieces(source: Path, sent: Sent) -> AsyncIterator[bytes]:
    position = 0
    with source.open("rb") as file:
        while piece := file.read(_PIECE):
            yield piece
            position += len(piece)
            sent(position)
