"""What all handlers of the mount share: the engine behind a bridge, the table of inodes, errors as numbers."""

from __future__ import annotations

import errno
import functools
import logging
import os
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

import pyfuse3

from jupyter_alc.core.errors import AlcError
from jupyter_alc.dms.fuse.errnos import errno_of
from jupyter_alc.dms.fuse.links import as_link
from jupyter_alc.dms.fuse.nodes import OWN, Node, Nodes
from jupyter_alc.dms.fuse.pushing import Pushing

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine
    from pathlib import Path

    from jupyter_alc.dms.engine.interface import Engine, Handle
    from jupyter_alc.dms.entry import Entry
    from jupyter_alc.dms.fuse.ahead import Ahead
    from jupyter_alc.dms.fuse.attributes import Attributes
    from jupyter_alc.dms.fuse.bridge import Bridge
    from jupyter_alc.dms.fuse.folders import OpenFolder

log = logging.getLogger(__name__)

S = TypeVar("S")
P = ParamSpec("P")
R = TypeVar("R")


def answers(handler: Callable[Concatenate[S, P], Awaitable[R]]) -> Callable[Concatenate[S, P], Coroutine[Any, Any, R]]:
    """Translate every error of a handler into an errno; what we cannot explain is logged and becomes EIO."""

    @functools.wraps(handler)
    async def answered(self: S, /, *given: P.args, **named: P.kwargs) -> R:
        try:
            return await handler(self, *given, **named)
        except pyfuse3.FUSEError:
            raise
        except (AlcError, OSError) as error:
            raise pyfuse3.FUSEError(errno_of(error)) from error
        except Exception as error:  # the top of a request: one bad request must not end the mount
            log.exception("A request of the mount failed in %s.", handler.__name__)
            raise pyfuse3.FUSEError(errno.EIO) from error

    return answered


@dataclass(slots=True, eq=False)
class Opened:
    """One open file of a program. `dirty`: written since the last flush. `ahead`: where bytes may be pushed (R17)."""

    node: Node
    handle: Handle
    writes: bool
    dirty: bool = False
    ahead: Ahead | None = None


class Shared(ABC, pyfuse3.Operations):  # type: ignore[misc]  # pyfuse3 is used without its types
    """State and small steps that the handlers of names and of files have in common."""

    supports_dot_lookup = False
    enable_writeback_cache = False

    _engine: Engine
    _bridge: Bridge

    def __init__(self, attributes: Attributes, volume: Path) -> None:
        super().__init__()
        self._attributes = attributes
        self._volume = volume
        self.nodes = Nodes()
        self.pushing = Pushing()
        self._opened: dict[int, Opened] = {}
        self._folders: dict[int, OpenFolder] = {}
        self._last_handle = 0

    def bind(self, engine: Engine, bridge: Bridge) -> None:
        """Say who answers; before the first request, after the process has its final user."""
        self._engine = engine
        self._bridge = bridge

    async def _node(self, ino: int) -> Node:
        """What an inode stands for; ESTALE, on which the kernel looks the name up again, where that is no more."""
        node = self.nodes.get(ino)
        if node is None and ino < OWN:
            named = await self._bridge.ask(self._engine.named(ino))
            node = None if named is None else self.nodes.recall(ino, named[0], as_link(_folder(named[0]), named[1]))
        if node is None:
            raise pyfuse3.FUSEError(errno.ESTALE)
        return node

    async def _path_in(self, parent_ino: int, name: bytes) -> str:
        """The path of a name in a folder; the top itself may not be changed by anybody."""
        parent = await self._node(parent_ino)
        if parent.gone:
            raise pyfuse3.FUSEError(errno.ENOENT)
        text = os.fsdecode(name)
        return f"{parent.path}/{text}" if parent.path else text

    async def _path_to_change(self, parent_ino: int, name: bytes) -> str:
        path = await self._path_in(parent_ino, name)
        if "/" not in path:
            raise pyfuse3.FUSEError(errno.EROFS)
        return path

    @abstractmethod
    async def follow(self, node: Node, entry: Entry) -> bool:
        """Let an open file be one of the version `entry`, if that may be."""

    async def _look(self, path: str) -> Node:
        """Ask what is at `path` and return its node."""
        known = self.nodes.at(path)
        if known is None or not known.wrote:
            entry = as_link(_folder(path), await self._bridge.ask(self._engine.info(path)))
            if known is not None:
                await self.follow(known, entry)
            return self.nodes.see(path, entry)
        entry, settled = await self._bridge.ask(self._info_and_settled(path))
        return self.nodes.see(path, entry, settled=settled)

    async def _info_and_settled(self, path: str) -> tuple[Entry, bool]:
        """On the engine's loop: the entry, and whether all of ours has reached the archive."""
        entry = await self._engine.info(path)
        return entry, all(unsent.path != path for unsent in self._engine.unsent())

    def _next_handle(self) -> int:
        self._last_handle += 1
        return self._last_handle


def _folder(path: str) -> str:
    return path.rpartition("/")[0]
