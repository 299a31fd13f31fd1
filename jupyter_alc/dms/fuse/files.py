"""The handlers of open files: open, create, read, write, flush, close."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Any

import pyfuse3

from jupyter_alc.dms.fuse.names import Names
from jupyter_alc.dms.fuse.shared import Opened, answers

if TYPE_CHECKING:
    from jupyter_alc.dms.engine.interface import Handle
    from jupyter_alc.dms.fuse.nodes import Node


class Operations(Names):
    """Reads that are cached are answered at once on this loop; a thread hop would cost ten times the read."""

    # names are answered by `Names`; here are the open files

    @answers
    async def open(self, inode: int, flags: int, ctx: Any) -> Any:
        """Open a file at the version its inode stands for; ESTALE sends the kernel to look the name up again."""
        node = self._node(inode)
        if node.gone:
            raise pyfuse3.FUSEError(errno.ESTALE)
        writes = flags & os.O_ACCMODE != os.O_RDONLY
        work = self._engine.open(node.path, write=writes, truncate=writes and bool(flags & os.O_TRUNC))
        handle = await (self._bridge.change(work) if writes else self._bridge.ask(work))
        if not writes and not node.wrote and handle.token != node.entry.token:
            await self._bridge.ask(self._engine.close(handle))
            raise pyfuse3.FUSEError(errno.ESTALE)
        return self._file_info(self._register(node, handle, writes))

    @answers
    async def create(self, parent_inode: int, name: bytes, mode: int, flags: int, ctx: Any) -> Any:
        """Make a file and open it."""
        path = self._path_to_change(parent_inode, name)
        work = self._engine.open(
            path, write=True, create=True, truncate=bool(flags & os.O_TRUNC), exclusive=bool(flags & os.O_EXCL)
        )
        handle = await self._bridge.change(work)
        node = self.nodes.see(path, await self._bridge.ask(self._engine.info(path)), settled=False)
        node.lookups += 1
        return self._file_info(self._register(node, handle, writes=True)), self._attributes.of(node)

    def _register(self, node: Node, handle: Handle, writes: bool) -> int:
        number = self._next_handle()
        self._opened[number] = Opened(node, handle, writes)
        node.handles += 1
        node.writers += writes
        node.wrote = node.wrote or writes
        return number

    def _file_info(self, number: int) -> Any:
        """Pages stay in the kernel only while they are of this very version."""
        opened = self._opened[number]
        token = opened.handle.token
        keep = bool(token) and not opened.handle.staged and opened.node.pages_token == token
        opened.node.pages_token = "" if opened.handle.staged else token
        return pyfuse3.FileInfo(fh=number, keep_cache=keep)

    @answers
    async def read(self, fh: int, off: int, size: int) -> bytes:
        """A hit is an inline read of the cache file; a miss waits for the archive, with a deadline."""
        handle = self._opened[fh].handle
        cached = self._engine.read_cached(handle, off, off + size)
        if cached is not None:
            return cached
        return await self._bridge.ask(self._engine.read(handle, off, off + size))

    @answers
    async def write(self, fh: int, off: int, buf: bytes) -> int:
        """Write to local staging."""
        opened = self._opened[fh]
        if not opened.writes:
            raise pyfuse3.FUSEError(errno.EBADF)
        written = await self._bridge.change(self._engine.write(opened.handle, off, buf))
        opened.dirty = True
        opened.node.grown_to(off + written)
        return written

    @answers
    async def flush(self, fh: int) -> None:
        """What `close` waits for: the bytes are durable on the local disk."""
        await self._settle(self._opened[fh])

    @answers
    async def fsync(self, fh: int, datasync: bool) -> None:
        """The bytes are durable on the local disk."""
        await self._settle(self._opened[fh])

    async def _settle(self, opened: Opened) -> None:
        if opened.dirty:
            opened.dirty = False
            try:
                await self._bridge.change(self._engine.fsync(opened.handle))
            except BaseException:
                opened.dirty = True
                raise

    @answers
    async def release(self, fh: int) -> None:
        """The last descriptor is closed; the upload is queued by the engine."""
        opened = self._opened.pop(fh)
        node = opened.node
        try:
            await self._bridge.change(self._engine.close(opened.handle))
        finally:
            node.handles -= 1
            node.writers -= opened.writes
            self.nodes.tidy(node)
