"""All that opens or changes: one change at a time for each path, local where it can be, else in the archive first."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack, nullcontext
from typing import TYPE_CHECKING, Final

from jupyter_alc.core.dataset import Access
from jupyter_alc.core.errors import (
    ArchiveUnreachable,
    BadInput,
    Denied,
    Exists,
    FileNotThere,
    IsFolder,
    NotEmpty,
    NotFolder,
    OtherDataset,
    ReadOnly,
)
from jupyter_alc.core.states import FileState
from jupyter_alc.dms.adapters.interface import HIDDEN
from jupyter_alc.dms.engine.disk import ROWS_ROOM
from jupyter_alc.dms.engine.locks import PathLocks
from jupyter_alc.dms.engine.names_values import split
from jupyter_alc.dms.engine.opened import OpenFile

if TYPE_CHECKING:
    from jupyter_alc.dms.engine.cache import Cache
    from jupyter_alc.dms.engine.datasets import Datasets
    from jupyter_alc.dms.engine.disk import Disk
    from jupyter_alc.dms.engine.reading import Reading
    from jupyter_alc.dms.engine.saveback import SaveBack
    from jupyter_alc.dms.engine.staged import StagedFile
    from jupyter_alc.dms.engine.staging import Staging
    from jupyter_alc.dms.entry import Entry

_PIECE: Final = 1024 * 1024
_LONGEST_NAME_BYTES: Final = 200  # what is put beside it in a conflict needs a longer one


class Changes:
    """Opens, writes and renames. Paths are (dataset, path inside it), checked by the caller."""

    def __init__(
        self,
        datasets: Datasets,
        *,
        staging: Staging,
        saveback: SaveBack,
        disk: Disk,
        cache: Cache,
        reading: Reading,
    ) -> None:
        self._links, self._names = datasets.links, datasets.names
        self._staging, self._saveback = staging, saveback
        self._disk, self._cache, self._reading = disk, cache, reading
        self._locks = PathLocks()
        self._open: set[OpenFile] = set()

    async def open(
        self, key: str, inner: str, *, write: bool, create: bool, truncate: bool, exclusive: bool
    ) -> OpenFile:
        """Open, make or cut a file."""
        if not inner:
            raise _is_folder(key)
        if write or create:
            self._may_write(key)
        async with self._locks.held((key, inner)):
            file = await self._quiet(key, inner) if write or create else self._staging.get(key, inner)
            if file is not None:
                if create and exclusive:
                    raise _exists(inner)
                opened = self._hand(OpenFile(key, inner, write=write, file=file))
                if truncate:
                    await self._cut(opened, file)
                return opened
            entry = await self._believed(key, inner, create=create)
            return await self._open_other(key, inner, entry, write=write, truncate=truncate, new=create and exclusive)

    async def _open_other(
        self, key: str, inner: str, entry: Entry | None, *, write: bool, truncate: bool, new: bool
    ) -> OpenFile:
        if entry is None:
            self._check_name(key, inner)
            await self._check_parent(key, inner)
        elif new:
            raise _exists(inner)
        elif entry.is_folder:
            raise _is_folder(inner)
        if entry is None or truncate:
            self._make_room(1)  # an empty file where none of its bytes would fit is nothing to leave behind
            base = entry.token if entry is not None else None
            file = await asyncio.to_thread(self._staging.create, key, inner, base)
            return self._hand(OpenFile(key, inner, write=True, file=file))
        reader = self._reading.open(self._links[key], inner, entry)
        return self._hand(OpenFile(key, inner, write=write, reader=reader))

    async def _cut(self, opened: OpenFile, file: StagedFile) -> None:
        try:
            self._make_room(1)
            await self._change(file)
            self._staging.truncate(file, 0)
        except BaseException:
            await self.close(opened)
            raise

    def _hand(self, opened: OpenFile) -> OpenFile:
        if opened.file is not None:
            opened.file.users += 1
            opened.file.writers += opened.write
        self._open.add(opened)
        return opened

    async def write(self, opened: OpenFile, offset: int, data: bytes) -> None:
        """Write to staging, bringing the file there first if it is not."""
        file = await self._staged(opened)
        await self._change(file)
        self._make_room(len(data))
        self._staging.write(file, offset, data)

    async def truncate(self, opened: OpenFile, size: int) -> None:
        """Cut or extend in staging; to nothing needs nothing brought."""
        file = await self._staged(opened, empty=size == 0)
        await self._change(file)
        self._staging.truncate(file, size)

    async def close(self, opened: OpenFile) -> None:
        """Make durable, let go, queue. A handle closed twice is closed."""
        if opened.closed:
            return
        opened.closed = True
        self._open.discard(opened)
        if opened.reader is not None:
            opened.reader.close()
        file = opened.file
        if file is None:
            return
        file.writers -= opened.write
        try:
            if opened.write:
                await asyncio.to_thread(self._staging.make_durable, file, closed=not file.writers)
        finally:
            self._staging.release(file)
        if not file.gone and file.state is FileState.STAGED:
            self._saveback.queue(file)

    async def mkdir(self, key: str, inner: str) -> None:
        """Make a folder in the archive."""
        self._may_write(key)
        if not inner or await self._there(key, inner):
            raise _exists(inner or key)
        self._check_name(key, inner)
        link = self._links[key]
        async with self._locks.held((key, inner)):
            await link.ask(lambda: link.folders().mkdir(inner), again=False)
            self._names[key].forget(inner)

    async def rmdir(self, key: str, inner: str) -> None:
        """Remove an empty folder from the archive."""
        self._may_write(key)
        if not inner:
            raise Denied(f"{key} is a dataset.", next_step="Datasets are taken away in the catalogue.")
        async with self._locks.held((key, inner)):
            if not (await self._names[key].info(inner)).is_folder:
                raise NotFolder(f"{inner} is a file.", next_step="Remove it as a file.")
            if self._staging.below(key, inner):
                raise NotEmpty(f"{inner} holds unsent files.", next_step="Remove them, or wait for the upload.")
            link = self._links[key]
            await link.ask(lambda: link.folders().delete(inner, folder=True), again=False)
            self._names[key].put(inner, None)

    async def unlink(self, key: str, inner: str) -> None:
        """Remove a file: here if it never reached the archive, else there as well."""
        self._may_write(key)
        async with self._locks.held((key, inner)):
            file = await self._quiet(key, inner)
            if file is None:
                await self._unlink_there(key, inner, needed=True)
            else:
                with file.held():
                    if file.may_be_there:
                        await self._unlink_there(key, inner, needed=False)
                    self._leave(file)
                    self._staging.drop(file)
            self._names[key].put(inner, None)

    async def _unlink_there(self, key: str, inner: str, *, needed: bool) -> None:
        link = self._links[key]
        if needed and (not inner or (await self._names[key].info(inner)).is_folder):
            raise _is_folder(inner or key)
        try:
            await link.ask(lambda: link.folders().delete(inner, folder=False), again=False)
        except FileNotThere:
            if needed:
                raise

    async def rename(self, key: str, old: str, other: str, new: str) -> None:
        """Rename a file or folder inside one dataset."""
        if key != other:
            raise OtherDataset("A file cannot be renamed into another dataset.", next_step="Copy it, then remove it.")
        self._may_write(key)
        if not old or not new:
            raise Denied("Datasets cannot be renamed.", next_step="Choose names inside one.")
        if old == new:
            await self._must_be_there(key, old)
            return
        self._check_name(key, new)
        async with self._locks.held((key, old), (key, new)):
            file = await self._quiet(key, old)
            if file is None:
                await self._rename_there(key, old, new)
                return
            with file.held():
                await self._rename_staged(file, new)
            if file.state is not FileState.OPEN_DIRTY:
                self._saveback.queue(file)

    async def _rename_staged(self, file: StagedFile, new: str) -> None:
        key, old = file.dataset, file.path
        taken = await self._quiet(key, new)
        with taken.held() if taken is not None else nullcontext():
            base_of_new = taken.base if taken is not None else await self._base_at(key, new)
            await self._check_parent(key, new)
            if file.may_be_there:
                await self._unlink_there(key, old, needed=False)
            if split(old)[0] != split(new)[0]:  # else the upload goes on under the same hidden name
                self._leave(file)
            if taken is not None:
                self._leave(taken)
            self._staging.place(file, new, base_of_new)
        self._names[key].put(old, None)

    async def _base_at(self, key: str, inner: str) -> str | None:
        entry = await self._believed(key, inner, create=True)
        if entry is not None and entry.is_folder:
            raise _is_folder(inner)
        return entry.token if entry is not None else None

    async def _rename_there(self, key: str, old: str, new: str) -> None:
        """Move in the archive; the unsent files in a folder follow. A kill in between costs only their new folder."""
        entry = await self._names[key].info(old)
        taken = await self._quiet(key, new)
        held = [taken] if taken is not None else []
        if entry.is_folder:
            held += self._staging.below(key, old)
        with ExitStack() as holds:
            for file in held:
                holds.enter_context(file.held())
            for file in held:
                await self._saveback.halt(file)
            await self._move_there(key, old, new, entry, self._staging.get(key, new))
        self._names[key].moved(old, new)

    async def _move_there(self, key: str, old: str, new: str, entry: Entry, taken: StagedFile | None) -> None:
        if entry.is_folder and (taken is not None or await self._there(key, new)):
            raise _exists(new)
        if not entry.is_folder and taken is None:
            await self._base_at(key, new)
        link = self._links[key]
        await link.ask(lambda: link.folders().move(old, new, replace=not entry.is_folder), again=False)
        if taken is not None:
            self._leave(taken)
            self._staging.drop(taken)
        for file in self._staging.below(key, old) if entry.is_folder else []:
            self._staging.place(file, new + file.path.removeprefix(old), file.base)
            self._saveback.queue(file)
        for opened in self._open:
            if opened.dataset == key and (opened.inner == old or opened.inner.startswith(f"{old}/")):
                opened.moved(new + opened.inner.removeprefix(old))

    async def _staged(self, opened: OpenFile, *, empty: bool = False) -> StagedFile:
        """The staged file behind a handle, made at the first change."""
        if not opened.write:
            raise Denied(f"{opened.path} is open for reading.", next_step="Open it for writing.", field="mode")
        if opened.file is not None and not (opened.file.gone and opened.file.writers == 0):
            return opened.file
        async with self._locks.held((opened.dataset, opened.inner)):
            if opened.file is None:
                file = await self._quiet(opened.dataset, opened.inner) or await self._bring_in(opened, empty=empty)
                file.users += 1
                file.writers += 1
                opened.file, reader, opened.reader = file, opened.reader, None
                if reader is not None:
                    reader.close()
            return opened.file

    async def _bring_in(self, opened: OpenFile, *, empty: bool) -> StagedFile:
        """Copy the archive's version into staging; only then does the staged file exist."""
        reader = opened.reader
        assert reader is not None
        file = self._staging.prepare(opened.dataset, opened.inner, reader.entry.token)
        try:
            size = 0 if empty else reader.entry.size
            for start in range(0, size, _PIECE):
                piece = await reader.read(start, min(start + _PIECE, size))
                self._make_room(len(piece))
                await asyncio.to_thread(self._staging.write, file, start, piece)
            await asyncio.to_thread(self._staging.adopt, file)
        except BaseException:
            self._staging.abandon(file)
            raise
        return file

    def _make_room(self, size: int) -> None:
        """Let the cache give way to `size` bytes of ours; `NoSpace` when that is not enough."""
        with self._disk.told(size):
            self._cache.make_room(size + ROWS_ROOM)

    async def _change(self, file: StagedFile) -> None:
        """Before a write: nothing sends it, and the row says that it is being changed."""
        await self._saveback.halt(file)
        if not file.gone and (file.synced or file.state is not FileState.OPEN_DIRTY):
            await asyncio.to_thread(self._staging.unsync, file)

    async def _quiet(self, key: str, inner: str) -> StagedFile | None:
        """The file staged at a path, with nothing sending it; None if there is none, or it has just arrived."""
        file = self._staging.get(key, inner)
        if file is None:
            return None
        with file.held():  # held first: what was halted would else be sent again at once
            await self._saveback.halt(file)
        return self._staging.get(key, inner)

    def _leave(self, file: StagedFile) -> None:
        if file.attempted:
            self._staging.leave_over(file)
            self._saveback.wake()

    async def _believed(self, key: str, inner: str, *, create: bool) -> Entry | None:
        """What is at a path; None for an absence to be filled. Old knowledge serves when the archive is silent."""
        try:
            return await self._names[key].info(inner)
        except FileNotThere:
            if create:
                return None
            raise
        except ArchiveUnreachable:
            known, entry = await self._names[key].last_seen(inner)
            if known and (entry is not None or create):
                return entry
            raise

    async def _check_parent(self, key: str, inner: str) -> None:
        folder, _ = split(inner)
        if self._staging.get(key, folder) is not None or not (await self._names[key].info(folder)).is_folder:
            raise NotFolder(f"{folder} is a file.", next_step="Choose a folder.")

    async def _there(self, key: str, inner: str) -> bool:
        try:
            await self._must_be_there(key, inner)
        except FileNotThere:
            return False
        return True

    async def _must_be_there(self, key: str, inner: str) -> None:
        if self._staging.get(key, inner) is None:
            await self._names[key].info(inner)

    def _may_write(self, key: str) -> None:
        dataset = self._links[key].dataset
        if dataset.access is not Access.WRITE:
            raise ReadOnly(f"{key} is read-only for you.", next_step="Write to a dataset of your own.")
        self._links[key].uploads()

    def _check_name(self, key: str, inner: str) -> None:
        name = split(inner)[1]
        forbidden = self._links[key].adapter.capabilities.forbidden
        odd = name.startswith(HIDDEN) or any(one in forbidden or not one.isprintable() for one in name)
        if odd or len(name.encode()) > _LONGEST_NAME_BYTES:
            raise BadInput(
                f"{name[:80]!r} cannot be a name in {key}.",
                next_step=f"Use at most {_LONGEST_NAME_BYTES} bytes of printable characters, none of {forbidden!r}, "
                f"not beginning with {HIDDEN}.",
                field="path",
            )


def _exists(path: str) -> Exists:
    return Exists(f"{path} is there already.", next_step="Use it, or choose another name.")


def _is_folder(path: str) -> IsFolder:
    return IsFolder(f"{path} is a folder.", next_step="Choose a file in it.")
