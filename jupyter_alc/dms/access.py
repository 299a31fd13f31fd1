"""The engine by path, in the values of the REST interface: the daemon's routes and an in-process `dms://` share it."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from typing import TYPE_CHECKING, Any, Protocol

from jupyter_alc.core.errors import AlcError, BadInput, IsFolder, VersionChanged
from jupyter_alc.dms.engine.accounts import NOBODY
from jupyter_alc.dms.many import MOST_FILES
from jupyter_alc.dms.paths import clean_path
from jupyter_alc.dms.ranges import MOST_BYTES, MOST_RANGES, extent, fits
from jupyter_alc.dms.readers import Readers

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Callable, Mapping, Sequence

    from jupyter_alc.dms.engine.accounts import Opener
    from jupyter_alc.dms.engine.folders import Pages
    from jupyter_alc.dms.engine.interface import Engine, Handle
    from jupyter_alc.dms.engine.measures import Measures
    from jupyter_alc.dms.entry import Entry
    from jupyter_alc.dms.many import Asked, Got
    from jupyter_alc.dms.ranges import Range

PIECE_BYTES = 1 << 20


class Access(Protocol):
    """Datasets by path, from the daemon or an engine of this process. Every call raises `AlcError` and nothing else."""

    async def status(self) -> dict[str, Any]:
        """`{"daemon", "datasets", "unsent"}` as `GET /v1/status` tells them."""
        ...

    async def info(self, path: str) -> dict[str, Any]:
        """`{"name", "type", "size", "mtime", "token", "writable"}` of one path.

        In a view (N18) a link has its real path as `target`, and a folder is marked by `view`.
        """
        ...

    async def ls(self, path: str) -> list[dict[str, Any]]:
        """The same of all that lies in a folder; the datasets for an empty path."""
        ...

    async def part(self, path: str, after: str, limit: int) -> dict[str, Any]:
        """`{"entries", "next", "coming"}`: at most `limit` names behind the name `after`, in order.

        `next` is the `after` of the next part, None at the end; `coming`: the archive is still telling names (N10).
        """
        ...

    async def refresh(self, path: str) -> None:
        """Ask the archive about `path` now, whatever was believed (N15)."""
        ...

    async def read(
        self, path: str, start: int = 0, stop: int | None = None, token: str = "", reader: str = ""
    ) -> bytes:
        """Bytes `start`..`stop` of a file, of version `token` if one is named (`VersionChanged` if that is no more).

        Reads that name the same `reader`, a word of its own choice, and the same version are one stream.
        """
        ...

    async def ranges(self, path: str, wanted: Sequence[Range], token: str = "") -> list[bytes]:
        """The bytes of each range, all of one version; `BadInput` for more than `MOST_RANGES` or `MOST_BYTES`."""
        ...

    async def many(self, wanted: Sequence[Asked]) -> list[Got]:
        """The same of several files, an error in the place of each that failed; `BadInput` for more than one can hold.

        Each range has both of its ends.
        """
        ...

    async def put(self, path: str, pieces: AsyncIterable[bytes], *, exclusive: bool = False) -> None:
        """Write a whole file; visible when all pieces are there, `Exists` if it must be new and is not."""
        ...

    async def mkdir(self, path: str) -> None:
        """Make a folder."""
        ...

    async def rmdir(self, path: str) -> None:
        """Remove an empty folder."""
        ...

    async def remove(self, path: str) -> None:
        """Remove a file."""
        ...

    async def move(self, old: str, new: str) -> None:
        """Rename inside one dataset."""
        ...

    async def flush(self, deadline_seconds: float) -> dict[str, Any]:
        """Send what is unsent, wait so long at most: `{"unsent": [what is left]}`."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


def entry_as_json(entry: Entry) -> dict[str, Any]:
    """One name as REST tells it."""
    told: dict[str, Any] = {
        "name": entry.name,
        "type": entry.kind,
        "size": entry.size,
        "mtime": entry.mtime,
        "token": entry.token,
        "writable": entry.writable,
    }
    if entry.target:
        told["target"] = entry.target
    if entry.view:
        told["view"] = True
    return told


class EngineAccess:
    """`Access` to an engine of this process; call it on the engine's loop. `about` tells who serves, `me` who reads."""

    def __init__(self, engine: Engine, about: Callable[[], dict[str, Any]], me: Opener = NOBODY) -> None:
        self._engine = engine
        self._about = about
        self._me = me
        self._readers = Readers(engine)

    async def status(self) -> dict[str, Any]:
        """The daemon, its datasets and what is unsent."""
        return {
            "daemon": self._about(),
            "datasets": [status.as_json() for status in self._engine.status()],
            "unsent": [unsent.as_json() for unsent in self._engine.unsent()],
        }

    def renew(self, credentials: Mapping[str, Mapping[str, str]]) -> list[str]:
        """Give the archives of these datasets other credentials; for who keeps the daemon."""
        return self._engine.renew(credentials)

    async def info(self, path: str) -> dict[str, Any]:
        """One name."""
        return entry_as_json(await self._engine.info(clean_path(path)))

    async def ls(self, path: str) -> list[dict[str, Any]]:
        """All names in a folder."""
        return [entry_as_json(entry) for entry in await self._engine.ls(clean_path(path))]

    async def pages(self, path: str) -> Pages:
        """The same as it comes."""
        return await self._engine.pages(clean_path(path))

    async def part(self, path: str, after: str, limit: int) -> dict[str, Any]:
        """At most `limit` names behind `after`: `{"entries", "next", "coming"}`."""
        told = await self._engine.part(clean_path(path), after, limit)
        return {"entries": list(map(entry_as_json, told.entries)), "next": told.after, "coming": told.coming}

    async def refresh(self, path: str) -> None:
        """Ask the archive now."""
        await self._engine.refresh(clean_path(path))

    async def files(self, path: str, after: str, limit: int) -> dict[str, Any]:
        """The same of the names of `part`, each with where its bytes are."""
        told = await self._engine.files(clean_path(path), after, limit)
        entries = [entry_as_json(one.entry) | one.as_json() for one in told.entries]
        return {"entries": entries, "next": told.after, "coming": told.coming}

    async def readers(self) -> list[dict[str, Any]]:
        """What each reader needed and what moved for it."""
        return [one.as_json() for one in self._engine.readers()]

    def measures(self) -> Measures:
        """What the operator's metrics are made of."""
        return self._engine.measures()

    @contextlib.asynccontextmanager
    async def opened(
        self, path: str, token: str = "", reader: str = "", opener: Opener | None = None
    ) -> AsyncIterator[Handle]:
        """A file open for reading, of the version `token` if one is named; a `reader` keeps it open for its next.

        What is read of it counts for `opener`.
        """
        plain = clean_path(path)
        if reader and token:
            async with self._readers.handle((reader, plain, token), lambda: self._open(plain, token, opener)) as handle:
                yield handle
            return
        handle = await self._open(plain, token, opener)
        try:
            yield handle
        finally:
            await self._engine.close(handle)

    async def _open(self, path: str, token: str, opener: Opener | None) -> Handle:
        handle = await self._engine.open(path, opener=opener or self._me)
        if token and not self._engine.is_version(handle, token):
            await self._engine.close(handle)
            raise VersionChanged(f"{path} has changed since it was opened.", next_step="Open it again.")
        return handle

    async def pieces(self, handle: Handle, start: int, stop: int) -> AsyncIterator[bytes]:
        """The bytes `start`..`stop` in pieces; what is cached costs no wait."""
        while start < stop:
            piece = await self._engine.read(handle, start, min(start + PIECE_BYTES, stop))
            if not piece:
                return
            yield piece
            start += len(piece)

    async def read(
        self, path: str, start: int = 0, stop: int | None = None, token: str = "", reader: str = ""
    ) -> bytes:
        """A range of a file."""
        async with self.opened(path, token, reader) as handle:
            first, end = extent(handle.size, start, stop)
            return b"".join([piece async for piece in self.pieces(handle, first, end)])

    async def ranges(self, path: str, wanted: Sequence[Range], token: str = "") -> list[bytes]:
        """Several ranges of one version of a file."""
        async with self.opened(path, token) as handle:
            return await self.several(handle, wanted)

    async def several(self, handle: Handle, wanted: Sequence[Range]) -> list[bytes]:
        """The ranges, all asked at the same time: what two of them share is fetched once (R3), neighbours join (R9)."""
        extents = [extent(handle.size, *each) for each in wanted]
        if len(extents) > MOST_RANGES or sum(end - first for first, end in extents) > MOST_BYTES:
            raise BadInput(
                f"One request is for at most {MOST_RANGES} ranges and {MOST_BYTES >> 20} MiB.",
                next_step="Share the ranges out to several requests.",
                field="ranges",
            )
        reads = [self._engine.read(handle, first, end) for first, end in extents]
        got = await asyncio.gather(*reads, return_exceptions=True)  # none goes on after the file is closed
        for each in got:
            if isinstance(each, BaseException):
                raise each
        return [each for each in got if isinstance(each, bytes)]

    async def many(self, wanted: Sequence[Asked], opener: Opener | None = None) -> list[Got]:
        """Several ranges of each of several files, all asked at the same time."""
        if len(wanted) > MOST_FILES or not fits([each for one in wanted for each in one.ranges]):
            raise BadInput(
                f"One request is for at most {MOST_FILES} files, {MOST_RANGES} ranges with both ends and "
                f"{MOST_BYTES >> 20} MiB.",
                next_step="Share the files out to several requests.",
                field="files",
            )

        async def one(asked: Asked) -> Got:
            try:
                async with self.opened(asked.path, asked.token, opener=opener) as handle:
                    return await self.several(handle, asked.ranges)
            except AlcError as error:
                return error

        return await asyncio.gather(*map(one, wanted))

    async def put(self, path: str, pieces: AsyncIterable[bytes], *, exclusive: bool = False) -> None:
        """Write under a hidden name, then rename: a writer that dies leaves the old file as it was."""
        path = await self._engine.real(clean_path(path), makes=True)
        folder, _, name = path.rpartition("/")
        await self._refuse_folder(path)
        place = path if exclusive else f"{folder}/.{name}.part-{secrets.token_hex(4)}"
        handle = await self._engine.open(place, write=True, create=True, truncate=True, exclusive=exclusive)
        try:
            try:
                await self._write_all(handle, pieces)
            finally:
                await self._engine.close(handle)
            if place != path:
                await self._engine.rename(place, path)
        except BaseException:
            with contextlib.suppress(AlcError):
                await self._engine.unlink(place)
            raise

    async def _refuse_folder(self, path: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            if (await self._engine.info(path)).is_folder:
                raise IsFolder(f"{path} is a folder.", next_step="Give the name of a file.")

    async def _write_all(self, handle: Handle, pieces: AsyncIterable[bytes]) -> None:
        offset = 0
        async for piece in pieces:
            offset += await self._engine.write(handle, offset, piece)

    async def mkdir(self, path: str) -> None:
        """Make a folder."""
        await self._engine.mkdir(clean_path(path))

    async def rmdir(self, path: str) -> None:
        """Remove an empty folder."""
        await self._engine.rmdir(clean_path(path))

    async def remove(self, path: str) -> None:
        """Remove a file."""
        await self._engine.unlink(clean_path(path))

    async def move(self, old: str, new: str) -> None:
        """Rename inside one dataset."""
        await self._engine.rename(clean_path(old), clean_path(new))

    async def flush(self, deadline_seconds: float) -> dict[str, Any]:
        """Send what is unsent."""
        return {"unsent": [unsent.as_json() for unsent in await self._engine.flush(deadline_seconds)]}

    async def close(self) -> None:
        """Nothing to let go of: the engine belongs to whoever started it."""
