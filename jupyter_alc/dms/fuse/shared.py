"""What all handlers of the mount share: the engine behind a bridge, the table of inodes, errors as numbers."""

from __future__ import annotations

import errno
import functools
import logging
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

import pyfuse3

from jupyter_alc.core.errors import AlcError
from jupyter_alc.dms.fuse.errnos import errno_of
from jupyter_alc.dms.fuse.nodes import Node, Nodes

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine
    from pathlib import Path

    from jupyter_alc.dms.engine.interface import Engine, Handle
    from jupyter_alc.dms.entry import Entry
    from jupyter_alc.dms.fuse.attributes import Attributes
    from jupyter_alc.dms.fuse.bridge import Bridge

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
    """One open file of a program. `dirty`: written since the last flush."""

    node: Node
    handle: Handle
    writes: bool
    dirty: bool = False


class Shared(pyfuse3.Operations):  # type: ignore[misc]  # pyfuse3 is used without its types
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
        self._opened: dict[int, Opened] = {}
        self._listings: dict[int, tuple[Node, list[Entry]]] = {}
        self._last_handle = 0

    def bind(self, engine: Engine, bridge: Bridge) -> None:
        """Say who answers; before the first request, after the process has its final user."""
        self._engine = engine
        self._bridge = bridge

    def _node(self, ino: int) -> Node:
        node = self.nodes.get(ino)
        if node is None:
            raise pyfuse3.FUSEError(errno.ESTALE)
        return node

    def _path_in(self, parent_ino: int, name: bytes) -> str:
        """The path of a name in a folder; the top itself may not be changed by anybody."""
        parent = self._node(parent_ino)
        if parent.gone:
            raise pyfuse3.FUSEError(errno.ENOENT)
        text = os.fsdecode(name)
        return f"{parent.path}/{text}" if parent.path else text

    def _path_to_change(self, parent_ino: int, name: bytes) -> str:
        path = self._path_in(parent_ino, name)
        if "/" not in path:
            raise pyfuse3.FUSEError(errno.EROFS)
        return path

    async def _look(self, path: str) -> Node:
        """Ask what is at `path` and return its node."""
        known = self.nodes.at(path)
        if known is None or not known.wrote:
            return self.nodes.see(path, await self._bridge.ask(self._engine.info(path)))
        entry, settled = await self._bridge.ask(self._info_and_settled(path))
        return self.nodes.see(path, entry, settled=settled)

    async def _info_and_settled(self, path: str) -> tuple[Entry, bool]:
        """On the engine's loop: the entry, and whether all of ours has reached the archive."""
        entry = await self._engine.info(path)
        return entry, all(unsent.path != path for unsent in self._engine.unsent())

    def _next_handle(self) -> int:
        self._last_handle += 1
        return self._last_handle
