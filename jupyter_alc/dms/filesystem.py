"""`dms://dataset/path` for fsspec, and so for pandas, pyarrow, h5py and Spark's workers.

It asks the data service of this machine; where there is none it runs the same engine in process. Connections are made
per process and event loop, so workers that were forked, and objects that were pickled, work like any other.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, ClassVar

from fsspec.asyn import AsyncFileSystem, get_loop, sync
from fsspec.callbacks import DEFAULT_CALLBACK

from jupyter_alc.core.errors import AlcError, Exists, FileNotThere, NotFolder, OtherDataset
from jupyter_alc.core.settings import dms_socket
from jupyter_alc.dms.client import DmsClient
from jupyter_alc.dms.files import PIECE_BYTES, DmsFile, one_piece, pieces_of
from jupyter_alc.dms.many import MOST_FILES, ranges_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Sequence

    from jupyter_alc.dms.access import Access
    from jupyter_alc.dms.ranges import Range

_GET_BYTES = 4 * PIECE_BYTES


class DmsFileSystem(AsyncFileSystem):  # type: ignore[misc]  # fsspec is used without types
    """Datasets as a file system. Folders that a written file needs are made; errors are our own and also `OSError`s.

    `socket` names the data service's socket; without it the machine's own is taken (`ALC_DMS_SOCKET`).
    """

    protocol: ClassVar[str] = "dms"
    root_marker = ""
    cachable = True

    def __init__(self, socket: str | None = None, **options: Any) -> None:
        super().__init__(socket=socket, **options)
        self._socket = socket
        self._accesses: dict[tuple[int, asyncio.AbstractEventLoop], Access] = {}

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        if isinstance(path, list):
            return [cls._strip_protocol(each) for each in path]
        text = os.fspath(path)
        return text.removeprefix("dms:").strip("/") if text.startswith("dms:") else text.strip("/")

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop of this process: a forked worker has one of its own."""
        if self._pid != os.getpid():
            self._pid: int = os.getpid()
            self._loop: Any = None if self.asynchronous else get_loop()
        loop: asyncio.AbstractEventLoop = self._loop
        return loop

    def _access(self) -> Access:
        """The way to the data from this process and loop."""
        key = (os.getpid(), asyncio.get_running_loop())
        if key not in self._accesses:
            self._accesses = {
                known: way for known, way in self._accesses.items() if known[0] == key[0] and not known[1].is_closed()
            }
            self._accesses[key] = _way(self._socket)
        return self._accesses[key]

    async def _info(self, path: str, **_: Any) -> dict[str, Any]:
        path = self._strip_protocol(path)
        if path == "":
            return {"name": "", "type": "directory", "size": 0}
        return {**await self._access().info(path), "name": path}

    async def _walk(
        self, path: str, maxdepth: int | None = None, topdown: bool = True, on_error: Any = "omit", **options: Any
    ) -> AsyncIterator[Any]:
        """What `walk` yields."""
        async for found in super()._walk(path, maxdepth, topdown, on_error, **{**options, "views": False}):
            yield found

    def walk(
        self, path: str, maxdepth: int | None = None, topdown: bool = True, on_error: Any = "omit", **options: Any
    ) -> Any:
        """Folders and files below `path`; no file is met twice, for a dataset's views are left out (N18).

        They stand in the dataset's own folder, so they are left out where `path` has no "/"; below one that has,
        as `raw/by-run`, everything is walked.
        """
        return super().walk(path, maxdepth, topdown, on_error, **{**options, "views": False})

    async def _ls(
        self, path: str, detail: bool = True, refresh: bool = False, views: bool = True, **_: Any
    ) -> list[Any]:
        path = self._strip_protocol(path)
        if refresh:
            await self._access().refresh(path)
        try:
            told = await self._access().ls(path)
        except NotFolder:
            found = [await self._info(path)]
        else:
            shown = told if views or "/" in path else [each for each in told if not each.get("view")]
            found = [{**each, "name": f"{path}/{each['name']}" if path else each["name"]} for each in shown]
        return found if detail else [each["name"] for each in found]

    async def _cat_file(self, path: str, start: int | None = None, end: int | None = None, **_: Any) -> bytes:
        return await self._access().read(self._strip_protocol(path), start or 0, end)

    async def _cat_ranges(  # noqa: PLR0917  (fsspec's)
        self,
        paths: list[str],
        starts: Any,
        ends: Any,
        max_gap: int | None = None,  # the engine joins ranges by what its line brings
        batch_size: int | None = None,
        on_error: str = "return",
        **_: Any,
    ) -> list[Any]:
        """Many ranges of many files: those of one file are of one version and one plan. A request holds many files.

        `batch_size` is how many at most; there are never more than a request may hold.
        With `on_error="return"` an error stands in the place of each range of the file that failed.
        """
        if not isinstance(paths, list):
            raise TypeError("paths is not a list")
        wanted: dict[str, list[tuple[int, Range]]] = {}
        for place, (path, start, end) in enumerate(
            zip(paths, _one_each(starts, paths), _one_each(ends, paths), strict=True)
        ):
            wanted.setdefault(self._strip_protocol(path), []).append((place, (start or 0, end)))
        found: list[Any] = [b""] * len(paths)
        ranges = {path: [each for _, each in placed] for path, placed in wanted.items()}
        most = min(batch_size, MOST_FILES) if batch_size and batch_size > 0 else MOST_FILES
        got = await ranges_of(self._access(), ranges, most)
        for placed, contents in zip(wanted.values(), got, strict=True):
            if isinstance(contents, AlcError) and on_error != "return":
                raise contents
            all_ = [contents] * len(placed) if isinstance(contents, AlcError) else contents
            for spot, content in zip(placed, all_, strict=True):
                found[spot[0]] = content
        return found

    async def _pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **_: Any) -> None:
        await self._put_pieces(self._strip_protocol(path), lambda: one_piece(bytes(value)), exclusive=mode == "create")

    async def _put_file(
        self, lpath: str, rpath: str, mode: str = "overwrite", callback: Any = DEFAULT_CALLBACK, **_: Any
    ) -> None:
        source, rpath = Path(lpath), self._strip_protocol(rpath)
        if await asyncio.to_thread(source.is_dir):
            await self._makedirs(rpath, exist_ok=True)
            return
        opened = await asyncio.to_thread(source.open, "rb")
        with opened:
            size = opened.seek(0, os.SEEK_END)
            callback.set_size(size)

            def pieces() -> AsyncIterator[bytes]:
                opened.seek(0)
                return pieces_of(opened)

            await self._put_pieces(rpath, pieces, exclusive=mode == "create")
        callback.absolute_update(size)

    async def _get_file(self, rpath: str, lpath: Any, callback: Any = DEFAULT_CALLBACK, **_: Any) -> None:
        rpath = self._strip_protocol(rpath)
        told = await self._info(rpath)
        if told["type"] == "directory":
            await asyncio.to_thread(os.makedirs, lpath, exist_ok=True)
            return
        callback.set_size(told["size"])
        if hasattr(lpath, "write"):
            await self._copy_out(rpath, told, lpath, callback)
            return
        target = Path(lpath)
        await asyncio.to_thread(os.makedirs, target.parent, exist_ok=True)
        with await asyncio.to_thread(target.open, "wb") as opened:
            await self._copy_out(rpath, told, opened, callback)

    async def _copy_out(self, path: str, told: dict[str, Any], target: IO[bytes], callback: Any) -> None:
        async for piece in self._pieces(path, told):
            target.write(piece)
            callback.relative_update(len(piece))

    async def _pieces(self, path: str, told: dict[str, Any]) -> AsyncIterator[bytes]:
        """All bytes of the one version that `told` speaks of."""
        reader = secrets.token_hex(8)
        for start in range(0, told["size"], _GET_BYTES):
            yield await self._access().read(path, start, start + _GET_BYTES, told["token"], reader)

    async def _cp_file(self, path1: str, path2: str, **_: Any) -> None:
        source, target = self._strip_protocol(path1), self._strip_protocol(path2)
        told = await self._info(source)
        if told["type"] == "directory":
            await self._makedirs(target, exist_ok=True)
        else:
            await self._put_pieces(target, lambda: self._pieces(source, told))

    async def _put_pieces(self, path: str, pieces: Any, *, exclusive: bool = False) -> None:
        """Write a file, and the folders above it where they are missing; `pieces()` begins anew each time."""
        try:
            await self._access().put(path, pieces(), exclusive=exclusive)
        except FileNotThere:
            await self._makedirs(path.rpartition("/")[0], exist_ok=True)
            await self._access().put(path, pieces(), exclusive=exclusive)

    async def _mkdir(self, path: str, create_parents: bool = True, **_: Any) -> None:
        path = self._strip_protocol(path)
        if create_parents and path.count("/") > 1:
            await self._makedirs(path.rpartition("/")[0], exist_ok=True)
        await self._access().mkdir(path)

    async def _makedirs(self, path: str, exist_ok: bool = False) -> None:
        path = self._strip_protocol(path)
        parent = path.rpartition("/")[0]
        try:
            await self._access().mkdir(path)
        except FileNotThere:
            if "/" not in path:
                raise
            await self._makedirs(parent, exist_ok=True)
            await self._makedirs(path, exist_ok=exist_ok)
        except OSError:
            if not exist_ok or not await self._isdir(path):
                raise

    async def _rm_file(self, path: str, **_: Any) -> None:
        await self._access().remove(self._strip_protocol(path))

    async def _rmdir(self, path: str, **_: Any) -> None:
        await self._access().rmdir(self._strip_protocol(path))

    def rmdir(self, path: str) -> None:
        """Remove an empty folder."""
        sync(self.loop, self._rmdir, path)

    async def _rm(
        self, path: Any, recursive: bool = False, batch_size: int | None = None, maxdepth: int | None = None, **_: Any
    ) -> None:
        for each in reversed(await self._expand_path(path, recursive=recursive, maxdepth=maxdepth)):
            told = await self._info(each)
            await (self._rmdir(each) if told["type"] == "directory" else self._rm_file(each))

    async def _mv(self, path1: str, path2: str) -> None:
        source, target = self._strip_protocol(path1), self._strip_protocol(path2)
        if path2.endswith("/") or await self._isdir(target):
            target = f"{target}/{source.rpartition('/')[2]}"
        await self._access().move(source, target)

    def mv(self, path1: Any, path2: Any, recursive: bool = False, maxdepth: int | None = None, **options: Any) -> None:
        """Rename inside one dataset; else copy and remove."""
        if isinstance(path1, str) and isinstance(path2, str) and maxdepth is None:
            with contextlib.suppress(OtherDataset, FileNotThere):
                sync(self.loop, self._mv, path1, path2)
                return
        super().mv(path1, path2, recursive=recursive, maxdepth=maxdepth, **options)

    def _open(self, path: str, mode: str = "rb", block_size: int | None = None, **options: Any) -> DmsFile:
        return DmsFile(self, path, mode, block_size=block_size or "default", **options)

    def read_version(self, path: str, start: int, stop: int, token: str, reader: str) -> bytes:
        """Read a range of the version `token`; for file objects, each of which is a `reader`."""

        async def read() -> bytes:
            return await self._access().read(path, start, stop, token, reader)

        content: bytes = sync(self.loop, read)
        return content

    def read_whole(self, versions: Sequence[tuple[str, int, str]]) -> list[bytes | AlcError]:
        """Small files whole, each by its path, size and token; an error in the place of each that failed."""
        ranges = {self._strip_protocol(path): [(0, size)] for path, size, _ in versions}
        tokens = {self._strip_protocol(path): token for path, _, token in versions}

        async def read() -> list[bytes | AlcError]:
            got = await ranges_of(self._access(), ranges, tokens=tokens)
            return [one if isinstance(one, AlcError) else one[0] for one in got]

        found: list[bytes | AlcError] = sync(self.loop, read)
        return found

    def put_pieces(self, path: str, pieces: AsyncIterable[bytes], *, exclusive: bool = False) -> None:
        """Write a whole file; for file objects, whose folder exists or is made first."""

        async def put() -> None:
            if not await self._exists(path.rpartition("/")[0]):
                await self._makedirs(path.rpartition("/")[0], exist_ok=True)
            await self._access().put(path, pieces, exclusive=exclusive)

        sync(self.loop, put)

    def refuse_taken(self, path: str) -> None:
        """Raise `Exists` where a file is to be new and is not."""
        if self.exists(path):
            raise Exists(f"{path} exists already.", next_step="Choose another name.")

    def modified(self, path: str) -> datetime:
        """When a file was last changed, in UTC."""
        return datetime.fromtimestamp(self.info(path)["mtime"], UTC)

    def ukey(self, path: str) -> str:
        """The version token of a file: the same token, the same bytes."""
        return str(self.info(path)["token"])

    def status(self) -> dict[str, Any]:
        """The datasets, what moved, and what is unsent."""
        told: dict[str, Any] = sync(self.loop, self._status)
        return told

    async def _status(self) -> dict[str, Any]:
        return await self._access().status()


def _one_each(given: Any, paths: list[str]) -> list[Any]:
    """A number for each path; one number is for all of them."""
    return [given] * len(paths) if given is None or isinstance(given, int) else list(given)


def _way(socket: str | None) -> Access:
    place = Path(socket) if socket else dms_socket()
    if place.exists():
        return DmsClient(place)
    from jupyter_alc.dms.inprocess import in_process  # noqa: PLC0415  (a whole engine, only where there is no service)

    return in_process()
