"""WebDAV over aiohttp: bounded ranges, every read bound to its version, uploads that become visible in one step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

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
from jupyter_alc.dms.adapters import propfind, versions
from jupyter_alc.dms.adapters.answers import NotAnAnswer
from jupyter_alc.dms.adapters.asking import Asking, authorization, below
from jupyter_alc.dms.adapters.interface import HIDDEN, AnsweredBadly, Capabilities, Sent, hidden_path
from jupyter_alc.dms.adapters.ranged import FINE, HEADED, RangedReads
from jupyter_alc.dms.adapters.statuses import error_of
from jupyter_alc.dms.adapters.versions import changed
from jupyter_alc.dms.entry import Entry
from jupyter_alc.dms.tokens import same_version

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Mapping
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    import aiohttp

    from jupyter_alc.core.errors import AlcError
    from jupyter_alc.dms.adapters.interface import Take
    from jupyter_alc.dms.adapters.pipes import Judge

_PIECE: Final = 256 * 1024
_NOT_SHOWN: Final = frozenset({401, 403, 404, 410})  # in a listing; who names one is told why
_CHECK_THEN_MOVE: Final = (
    "This archive compares and replaces in two steps: two writers within the same moment may overwrite each other."
)
_SECONDS_ONLY: Final = " Its version tokens are times in whole seconds: two writes within one second look like one."


class WebdavAdapter(RangedReads):
    """One folder of a WebDAV server; `credentials` hold `username` and `password`, or a bearer `token`."""

    def __init__(self, url: str, credentials: Mapping[str, str]) -> None:
        self._base = URL(url.rstrip("/"), encoded=True)
        if self._base.scheme not in {"http", "https"} or not self._base.host:
            raise BadInput(f"{url!r} is not a WebDAV address.", next_step="Write http://host:port/folder.", field="url")
        self._asking = Asking(authorization(credentials))
        self._weak, self._unlisted = False, ""

    @property
    def capabilities(self) -> Capabilities:
        """Sharpens when the first tokens were seen."""
        guarantee = _CHECK_THEN_MOVE + (_SECONDS_ONLY if self._weak else "")
        return Capabilities(guarantee=guarantee, forbidden="?;", unlisted=self._unlisted)

    async def close(self) -> None:
        """Give back connections."""
        await self._asking.close()

    async def approach(self) -> None:
        """Have a connection that the next range finds."""
        await self._asking.approach(self._base)

    async def info(self, path: str) -> Entry:
        """One PROPFIND of depth 0."""
        found, now = await self._propfind(path, depth=0)
        return self._entry(found[0], now, path) if found else _absent(path)

    async def listing(self, path: str) -> list[Entry]:
        """One PROPFIND of depth 1, for the four properties we use."""
        found, now = await self._propfind(path, depth=1, folder=True)
        itself = unquote(self._url(path).raw_path).rstrip("/")
        own = next((one for one in found if one.path == itself), None)
        if own is not None and own.status != 200:
            raise _untold(own.status, path)
        if own is not None and not own.folder:
            raise NotFolder(f"{path} is a file.", next_step="List its folder.")
        inside = [one for one in found if one.path.rpartition("/")[0] == itself and one is not own]
        named = [(one.path.rpartition("/")[2], one) for one in inside if one.status not in _NOT_SHOWN]
        return [
            self._entry(one, now, f"{path}/{name}".lstrip("/")) for name, one in named if not name.startswith(HIDDEN)
        ]

    def _head(self, path: str, headers: Mapping[str, str]) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        return self._ask("HEAD", path, headers=headers, fine=HEADED)

    def _get(self, path: str, headers: Mapping[str, str]) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        return self._ask("GET", path, headers=headers, fine=FINE)

    async def _piped(self, path: str, headers: Mapping[str, str], judge: Judge, take: Take) -> None:
        head = await self._asking.piped(self._url(path), headers, judge, take)
        if head.status not in FINE:
            raise error_of(head.status, "GET", path)

    async def upload(self, path: str, source: Path, upload_id: str, sent: Sent) -> str:
        """PUT under a hidden name in the same folder."""
        hidden = hidden_path(path, upload_id)
        size = source.stat().st_size  # noqa: ASYNC240  (one stat of a local file)
        headers = {"Content-Length": str(size), "Content-Type": "application/octet-stream"}
        try:
            async with self._ask("PUT", hidden, headers=headers, data=_pieces(source, sent), fine={200, 201, 204}):
                return hidden
        except AnsweredBadly:
            await self.info(path.rpartition("/")[0])  # nginx fails where the folder is not there
            raise

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
            raise changed(path) from error
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
        try:
            await self._move(old, new, replace=replace, folder=False)
        except VersionChanged as error:
            raise Exists(f"{new} is there already.", next_step="Choose another name.") from error
        except AnsweredBadly:
            if not (await self.info(old)).is_folder:
                raise
            await self._move(old, new, replace=replace, folder=True)  # nginx knows folders by their slash

    async def _move(self, old: str, new: str, *, replace: bool, folder: bool) -> None:
        headers = {"Destination": str(self._url(new, folder=folder)), "Overwrite": "T" if replace else "F"}
        async with self._ask("MOVE", old, headers=headers, folder=folder, fine={201, 204}):
            pass

    async def _check_base(self, path: str, base: str) -> None:
        try:
            now = await self.info(path)
        except FileNotThere:
            return  # removed meanwhile: nothing of anybody's is overwritten
        if now.is_folder or not same_version(now.token, base):
            raise changed(path)

    async def _propfind(self, path: str, *, depth: int, folder: bool = False) -> tuple[list[propfind.Found], float]:
        headers = {"Depth": str(depth), "Content-Type": "application/xml"}
        async with self._ask(
            "PROPFIND", path, headers=headers, data=propfind.REQUEST, folder=folder, fine={207}
        ) as answer:
            text = await answer.read()
            now = versions.server_time(answer.headers.get("Date"))
            if answer.headers.get("Server", "").startswith("nginx"):
                self._unlisted = "."
        try:
            return propfind.parse(text), now
        except NotAnAnswer as error:
            raise ArchiveUnreachable(
                "The archive's answer is not WebDAV.", next_step="Check the dataset's url in the catalogue."
            ) from error

    def _entry(self, found: propfind.Found, now: float, path: str) -> Entry:
        if found.status != 200:
            raise _untold(found.status, path)
        name = found.path.rpartition("/")[2]
        if found.folder:
            return Entry(name, "directory", 0, found.modified, found.etag or '"folder"')
        if found.size is None:
            raise AnsweredBadly(f"The server does not tell the size of {path}.", next_step="Try again.")
        self._weak = self._weak or versions.is_weak(found.etag, found.modified)
        token = versions.token_of(found.etag, found.modified, found.size, now)
        return Entry(name, "file", found.size, found.modified, token)

    def _url(self, path: str, *, folder: bool = False) -> URL:
        return below(self._base, path, folder=folder)

    def _ask(
        self, verb: str, path: str, *, fine: Collection[int], folder: bool = False, **more: Any
    ) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        return self._asking.ask(verb, self._url(path, folder=folder), path, fine=fine, **more)


def _untold(status: int, path: str) -> AlcError:
    """Why the server tells nothing of one name; what it cannot do for it is nothing that it lacks for all."""
    if status in _NOT_SHOWN:
        return error_of(status, "PROPFIND", path)
    return AnsweredBadly(f"The archive answered with HTTP {status} about {path}.", next_step="Try again in a moment.")


def _absent(path: str) -> Entry:
    raise FileNotThere(f"{path} is not in the archive.", next_step="List its folder to see what is.")


async def _pieces(source: Path, sent: Sent) -> AsyncIterator[bytes]:
    position = 0
    with source.open("rb") as file:
        while piece := file.read(_PIECE):
            yield piece
            position += len(piece)
            sent(position)
