"""The engine by path, in the values of the REST interface: the daemon's routes and an in-process `dms://` share it."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from typing import TYPE_CHECKING, Any, Protocol

from jupyter_alc.core.errors import AlcError, BadInput, IsFolder, VersionChanged
from jupyter_alc.dms.ranges import MOST_BYTES, MOST_RANGES, extent
from jupyter_alc.dms.readers import Readers

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Callable, Sequence

    from jupyter_alc.dms.engine.interface import Engine, Handle
    from jupyter_alc.dms.entry import Entry
    from jupyter_alc.dms.ranges import Range

PIECE_BYTES = 1 << 20


class Access(Protocol):
    """Datasets by path, from the daemon or an engine of this process. Every call raises `AlcError` and nothing else."""

    async def status(self) -> dict[str, Any]:
        """`{"daemon", "datasets", "unsent"}` as `GET /v1/status` tells them."""
        ...

    async def info(self, path: str) -> dict[str, Any]:
        """`{"name", "type", "size", "mtime", "token", "writable"}` of one path."""
        ...

    async def ls(self, path: str) -> list[dict[str, Any]]:
        """The same of all that lies in a folder; the datasets for an empty path."""
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


def clean_path(path: str) -> str:
    """Return `path` as the engine wants it, without slashes at its ends; `BadInput` for steps that lead elsewhere."""
    plain = path.strip("/")
    if (plain and any(part in {"", ".", ".."} for part in plain.split("/"))) or "\0" in plain:
        raise BadInput(
            f"{path[:120]!r} is not a path of a dataset.",
            next_step="Write dataset/folder/file, without . and ..",
            field="path",
        )
    return plain


def entry_as_json(entry: Entry) -> dict[str, Any]:
    """One name as REST tells it."""
    return {
        "name": entry.name,
        "type": entry.kind,
        "size": entry.size,
        "mtime": entry.mtime,
        "token": entry.token,
        "writable": entry.writable,
    }


class EngineAccess:
    """`Access` to an engine of this process; call it on the engine's loop. `about` tells who serves."""

    def __init__(self, engine: Engine, about: Callable[[], dict[str, Any]]) -> None:
        self._engine = engine
        self._about = about
        self._readers = Readers(engine)

    async def status(self) -> dict[str, Any]:
        """The daemon, its datasets and what is unsent."""
        return {
            "daemon": self._about(),
            "datasets": [status.as_json() for status in self._engine.status()],
            "unsent": [unsent.as_json() for unsent in self._engine.unsent()],
        }

    async def info(self, path: str) -> dict[str, Any]:
        """One name."""
        return entry_as_json(await self._engine.info(clean_path(path)))

    async def ls(self, path: str) -> list[dict[str, Any]]:
        """All names in a folder."""
        return [entry_as_json(entry) for entry in await self._engine.ls(clean_path(path))]

    @contextlib.asynccontextmanager
    async def opened(self, path: str, token: str = "", reader: str = "") -> AsyncIterator[Handle]:
        """A file open for reading, of the version `token` if one is named; a `reader` keeps it open for its next."""
        plain = clean_path(path)
        if reader and token:
            async with self._readers.handle((reader, plain, token), lambda: self._open(plain, token)) as handle:
                yield handle
            return
        handle = await self._open(plain, token)
        try:
            yield handle
        finally:
            await self._engine.close(handle)

    async def _open(self, path: str, token: str) -> Handle:
        handle = await self._engine.open(path)
        if token and handle.token != token:
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

    async def put(self, path: str, pieces: AsyncIterable[bytes], *, exclusive: bool = False) -> None:
        """Write under a hidden name, then rename: a writer that dies leaves the old file as it was."""
        path = clean_path(path)
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
