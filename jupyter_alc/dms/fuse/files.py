"""The handlers of open files: open, create, read, write, flush, close."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Any

import pyfuse3

from jupyter_alc.dms.fuse.names import Names
from jupyter_alc.dms.fuse.seen import Seen
from jupyter_alc.dms.fuse.shared import Opened, answers
from jupyter_alc.dms.sessions import opener_of

if TYPE_CHECKING:
    from jupyter_alc.dms.engine.interface import Handle
    from jupyter_alc.dms.fuse.ahead import Ahead
    from jupyter_alc.dms.fuse.nodes import Node


class Operations(Names):
    """Reads that are cached are answered at once on this loop; a thread hop would cost ten times the read."""

    # names are answered by `Names`; here are the open files

    @answers
    async def open(self, inode: int, flags: int, ctx: Any) -> Any:
        """Open a file at the version its inode stands for; ESTALE sends the kernel to look the name up again."""
        node = await self._node(inode)
        if node.gone:
            raise pyfuse3.FUSEError(errno.ESTALE)
        writes = flags & os.O_ACCMODE != os.O_RDONLY
        cut = writes and bool(flags & os.O_TRUNC)
        if writes:
            await self.pushing.leave(node)
        work = self._engine.open(node.path, write=writes, truncate=cut, opener=opener_of(ctx.pid))
        handle = await (self._bridge.change(work) if writes else self._bridge.ask(work))
        if not writes and not node.wrote and handle.token != node.entry.token:
            await self._bridge.ask(self._engine.close(handle))
            raise pyfuse3.FUSEError(errno.ESTALE)
        number = self._register(node, handle, writes)
        told, opened = self._file_info(number), self._opened[number]
        opened.ahead = self.pushing.watched(opened, published=not self._attributes.is_live(node.dataset))
        return told

    @answers
    async def create(self, parent_inode: int, name: bytes, mode: int, flags: int, ctx: Any) -> Any:
        """Make a file and open it."""
        path = await self._path_to_change(parent_inode, name)
        known = self.nodes.at(path)
        if known is not None:
            await self.pushing.leave(known)
        work = self._engine.open(
            path, write=True, create=True, truncate=bool(flags & os.O_TRUNC), exclusive=bool(flags & os.O_EXCL)
        )
        handle = await self._bridge.change(work)
        node = self.nodes.see(path, await self._bridge.ask(self._engine.info(path)), settled=False)
        node.lookups += 1
        return self._file_info(self._register(node, handle, writes=True)), self._attributes.of(node)

    def _register(self, node: Node, handle: Handle, writes: bool) -> int:
        number, node = self._next_handle(), self.nodes.keep(node)
        self._opened[number] = Opened(node, handle, writes)
        if node.seen is None and self._attributes.is_live(node.dataset):
            node.seen, node.pages_token = Seen(), ""  # pages from before are of reads that nobody noted
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

    async def read(self, fh: int, off: int, size: int) -> bytes:
        """A hit is an inline read of the cache file, with nothing around it that can be spared."""
        try:
            opened = self._opened[fh]
            cached = opened.handle.cached(off, off + size)
        except Exception:  # noqa: BLE001  (the read that waits meets it again, and tells it)
            cached = None
        if cached is None:
            return await self._fetched(fh, off, off + size)
        if opened.node.seen is not None:
            opened.node.seen.add(off, off + len(cached))
        if opened.ahead is not None:
            self._push(opened, opened.ahead, off, off + len(cached))
        return cached

    def _push(self, opened: Opened, ahead: Ahead, start: int, stop: int) -> None:
        """Have pushed into the kernel's memory what a reader in order will ask for next."""
        if ahead.note(start, stop):
            self.pushing.go_on(opened, ahead)
        if ahead.over:
            self.pushing.end(ahead)
            opened.ahead = None

    @answers
    async def _fetched(self, fh: int, start: int, stop: int) -> bytes:
        """A miss waits for the archive, with a deadline."""
        opened = self._opened[fh]
        seen = opened.node.seen
        while True:
            handle = opened.handle
            got = await self._bridge.ask(self._engine.read(handle, start, stop))
            if opened.handle is handle:  # else it has followed its file's growth meanwhile
                if seen is not None:
                    seen.add(start, start + len(got))
                return got

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
        self.pushing.end(opened.ahead)
        closing = self._engine.close(opened.handle)
        try:
            if opened.writes:
                await self._bridge.change(closing)
            else:
                self._bridge.begin(closing)  # a reader's end is waited for by nobody
        finally:
            node.handles -= 1
            node.writers -= opened.writes
            self.nodes.tidy(node)
