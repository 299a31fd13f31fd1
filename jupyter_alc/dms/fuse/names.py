"""The handlers of names and attributes: lookup, stat, listing, folders, rename, extended attributes."""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import pyfuse3

from jupyter_alc.core.errors import AlcError, ArchiveUnreachable, FileNotThere
from jupyter_alc.dms.fuse.folders import OpenFolder
from jupyter_alc.dms.fuse.growing import Growing
from jupyter_alc.dms.fuse.links import as_link
from jupyter_alc.dms.fuse.shared import answers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jupyter_alc.dms.fuse.nodes import Node

STATE: Final = b"user.dms.state"
VERSION: Final = b"user.dms.version"
PLACE: Final = b"user.dms.path"
CHECKSUM: Final = b"user.dms.checksum"
ADDRESS: Final = b"user.dms.address"
ATTRIBUTES: Final = frozenset({STATE, VERSION, PLACE, CHECKSUM, ADDRESS})


class Names(Growing):
    """Answers that need no open file."""

    @answers
    async def lookup(self, parent_inode: int, name: bytes, ctx: Any) -> Any:
        """Find a name in a folder; "not there" is an answer the kernel keeps, not an error."""
        path = await self._path_in(parent_inode, name)
        try:
            node = await self._look(path)
        except FileNotThere:
            known = self.nodes.at(path)
            if known is not None:
                self.nodes.leave(known)
            return self._attributes.absent(path.partition("/")[0])
        except ArchiveUnreachable:
            if not await self._may_be_made(path):
                raise
            return self._attributes.absent(path.partition("/")[0], checked=False)
        node.lookups += 1
        return self._attributes.of(node)

    async def _may_be_made(self, path: str) -> bool:
        """Say whether a name that cannot be checked is one to be made (W11): its folder was listed without it.

        The kernel looks a name up before it makes it, and gives up at an error.
        """
        try:
            inside = await self._bridge.ask(self._engine.info(path.rpartition("/")[0]))
            known, entry = await self._bridge.ask(self._engine.last_seen(path))
        except AlcError:
            return False
        return inside.writable and known and entry is None

    async def forget(self, inode_list: Sequence[tuple[int, int]]) -> None:
        """The kernel no longer refers to these."""
        for ino, lookups in inode_list:
            self.nodes.forget(ino, lookups)

    @answers
    async def getattr(self, inode: int, ctx: Any) -> Any:
        """Attributes of the version this inode stands for; ESTALE sends the kernel to look the name up again."""
        return self._attributes.of(await self._current(await self._node(inode)))

    async def _current(self, node: Node) -> Node:
        if node.gone:
            return await self._follower(self._held(node))
        try:
            now = await self._look(node.path)
        except FileNotThere:
            self.nodes.leave(node)
            if node.handles:
                return node
            raise
        if now is node:
            return node
        self.nodes.tidy(now)
        return self._held(node)

    async def _follower(self, node: Node) -> Node:
        """An open file whose path leads to another version by now, which may be what it has grown to."""
        if self._attributes.is_live(node.dataset) and node.seen is not None and not node.seen.too_much:
            try:
                await self.follow(node, await self._bridge.ask(self._engine.info(node.path)))
            except AlcError:
                return node
        return node

    def _held(self, node: Node) -> Node:
        if node.handles == 0:
            raise pyfuse3.FUSEError(errno.ESTALE)
        return node

    @answers
    async def setattr(self, inode: int, attr: Any, fields: Any, fh: int | None, ctx: Any) -> Any:
        """Size is cut or extended. Modes are the archive's and stay; another owner is refused."""
        node = await self._node(inode)
        if fields.update_uid or fields.update_gid:
            own = self._attributes.of(node)
            if (fields.update_uid and attr.st_uid != own.st_uid) or (fields.update_gid and attr.st_gid != own.st_gid):
                raise pyfuse3.FUSEError(errno.EPERM)
        if fields.update_size:
            await self._cut(node, fh, attr.st_size)
        answer = self._attributes.of(node if node.gone else await self._current(node))
        if fields.update_mtime:
            answer.st_mtime_ns = attr.st_mtime_ns
        return answer

    async def _cut(self, node: Node, fh: int | None, size: int) -> None:
        opened = None if fh is None else self._opened.get(fh)
        if opened is None and node.gone:
            raise pyfuse3.FUSEError(errno.ESTALE)
        node.wrote = True
        await self.pushing.leave(node)
        await self._bridge.change(self._engine.truncate(node.path if opened is None else opened.handle, size))
        if opened is not None:
            opened.dirty = True
        node.entry = replace(node.entry, size=size)

    @answers
    async def opendir(self, inode: int, ctx: Any) -> int:
        """Open a folder; its listing is begun at the first read and after each rewind."""
        handle = self._next_handle()
        self._folders[handle] = OpenFolder(await self._node(inode))
        return handle

    @answers
    async def readdir(self, fh: int, start_id: int, token: Any) -> None:
        """Names with attributes, so that `ls -l` needs no further question; those that have come, while more come."""
        opened = self._folders[fh]
        folder = opened.node
        if start_id == 0 or not opened.begun or opened.before(start_id):
            if folder.gone:
                return
            opened.rewind(await self._bridge.ask(self._engine.pages(folder.path)))
        entries = await opened.at(start_id, self._bridge)
        if folder.entry.view:
            entries = [as_link(folder.path, one) for one in entries]
        within, any_here = f"{folder.path}/" if folder.path else "", self.nodes.any_in(folder.path)
        row, told = self._attributes.row(folder.dataset), None
        for position, entry in enumerate(entries, start_id + 1):
            if any_here or not entry.number:
                known = self.nodes.at(within + entry.name)
                if known is not None and self.may_have_grown(known, entry):
                    await self.follow(known, entry)
                told = self.nodes.told(within + entry.name, entry)
            ino = entry.number if told is None else told.ino
            if not pyfuse3.readdir_reply(token, entry.name.encode(), row.of(ino, entry), position):
                if told is not None:
                    self.nodes.tidy(told)
                return
            if told is not None:
                told.lookups += 1
                told = None

    async def releasedir(self, fh: int) -> None:
        """A folder is closed."""
        self._folders.pop(fh, None)

    async def fsyncdir(self, fh: int, datasync: bool) -> None:
        """Names are durable when the call that made them returned."""

    @answers
    async def mkdir(self, parent_inode: int, name: bytes, mode: int, ctx: Any) -> Any:
        """Make a folder in the archive."""
        path = await self._path_to_change(parent_inode, name)
        await self._bridge.change(self._engine.mkdir(path))
        node = await self._look(path)
        node.lookups += 1
        return self._attributes.of(node)

    @answers
    async def rmdir(self, parent_inode: int, name: bytes, ctx: Any) -> None:
        """Remove an empty folder."""
        path = await self._path_to_change(parent_inode, name)
        await self._bridge.change(self._engine.rmdir(path))
        self._part(path)

    @answers
    async def unlink(self, parent_inode: int, name: bytes, ctx: Any) -> None:
        """Remove a file; whoever has it open keeps it."""
        path = await self._path_to_change(parent_inode, name)
        await self._bridge.change(self._engine.unlink(path))
        self._part(path)

    def _part(self, path: str) -> None:
        node = self.nodes.at(path)
        if node is not None:
            self.nodes.leave(node)

    @answers
    async def rename(  # noqa: PLR0917  (pyfuse3 gives them so)
        self, parent_inode_old: int, name_old: bytes, parent_inode_new: int, name_new: bytes, flags: int, ctx: Any
    ) -> None:
        """Rename inside one dataset; to another one the caller copies (EXDEV)."""
        old = await self._path_to_change(parent_inode_old, name_old)
        new = await self._path_to_change(parent_inode_new, name_new)
        if flags & pyfuse3.RENAME_EXCHANGE:
            raise pyfuse3.FUSEError(errno.EINVAL)
        if old.partition("/")[0] != new.partition("/")[0]:
            raise pyfuse3.FUSEError(errno.EXDEV)
        if flags & pyfuse3.RENAME_NOREPLACE and await self._exists(new):
            raise pyfuse3.FUSEError(errno.EEXIST)
        for known in filter(None, (self.nodes.at(old), self.nodes.at(new))):
            await self.pushing.leave(known)
        await self._bridge.change(self._engine.rename(old, new))
        self.nodes.move(old, new)
        moved = self.nodes.at(new)
        if moved is not None:
            moved.wrote = True  # its token may move on with the name; its pages stay right

    async def _exists(self, path: str) -> bool:
        try:
            await self._bridge.ask(self._engine.info(path))
        except FileNotThere:
            return False
        return True

    @answers
    async def link(self, inode: int, new_parent_inode: int, new_name: bytes, ctx: Any) -> Any:
        """Archives have no hard links."""
        raise pyfuse3.FUSEError(errno.EPERM)

    @answers
    async def symlink(self, parent_inode: int, name: bytes, target: bytes, ctx: Any) -> Any:
        """Archives have no symbolic links."""
        raise pyfuse3.FUSEError(errno.EPERM)

    @answers
    async def readlink(self, inode: int, ctx: Any) -> bytes:
        """Where a link of a view leads (N18)."""
        entry = (await self._node(inode)).entry
        if entry.kind != "link":
            raise pyfuse3.FUSEError(errno.EINVAL)
        return os.fsencode(entry.target)

    @answers
    async def getxattr(self, inode: int, name: bytes, ctx: Any) -> bytes:
        """Those of `ATTRIBUTES`; a file whose archive tells no checksum has none."""
        if not name.startswith(b"user."):  # of what is not supported, `ls -l` asks once a run, of what is, each file
            raise pyfuse3.FUSEError(errno.EOPNOTSUPP)
        if name not in ATTRIBUTES:
            raise pyfuse3.FUSEError(pyfuse3.ENOATTR)
        node = await self._node(inode)
        value = await self._attribute(node, name) if not node.entry.is_folder or name in {PLACE, ADDRESS} else ""
        if not value:
            raise pyfuse3.FUSEError(pyfuse3.ENOATTR)
        return os.fsencode(value)

    async def _attribute(self, node: Node, name: bytes) -> str:
        if name == PLACE:
            return node.path
        if name == VERSION:
            return node.entry.token
        if name == ADDRESS:
            return self._engine.address(node.path)
        asked = self._engine.state(node.path) if name == STATE else self._engine.checksum(node.path)
        return await self._bridge.ask(asked)

    @answers
    async def listxattr(self, inode: int, ctx: Any) -> Sequence[bytes]:
        """The attributes that `getxattr` knows, for files; a checksum would have to be asked for, and is not named."""
        return () if (await self._node(inode)).entry.is_folder else (STATE, VERSION, PLACE, ADDRESS)

    @answers
    async def setxattr(self, inode: int, name: bytes, value: bytes, ctx: Any) -> None:
        """Archives keep no attributes of the user's."""
        raise pyfuse3.FUSEError(errno.EOPNOTSUPP)

    @answers
    async def removexattr(self, inode: int, name: bytes, ctx: Any) -> None:
        """Archives keep no attributes of the user's."""
        raise pyfuse3.FUSEError(errno.EOPNOTSUPP)

    @answers
    async def mknod(self, parent_inode: int, name: bytes, mode: int, rdev: int, ctx: Any) -> Any:
        """Plain files only."""
        if not stat.S_ISREG(mode):
            raise pyfuse3.FUSEError(errno.EPERM)
        path = await self._path_to_change(parent_inode, name)
        handle = await self._bridge.change(self._engine.open(path, write=True, create=True, exclusive=True))
        await self._bridge.change(self._engine.close(handle))
        node = await self._look(path)
        node.wrote = True
        node.lookups += 1
        return self._attributes.of(node)

    @answers
    async def statfs(self, ctx: Any) -> Any:
        """The room there is for unsent results: that of the volume they wait on."""
        volume, told = os.statvfs(self._volume), pyfuse3.StatvfsData()
        for field in ("f_bsize", "f_frsize", "f_blocks", "f_bfree", "f_bavail", "f_files", "f_ffree", "f_favail"):
            setattr(told, field, getattr(volume, field))
        told.f_namemax = 255
        return told
