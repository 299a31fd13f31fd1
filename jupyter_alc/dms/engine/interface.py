"""What the engine promises to the mount, the daemon and `dms://`.

Everything is asyncio and belongs to one event loop, but for `read_cached`, which any thread may call.
A path is `dataset/folder/file` without a leading slash; "" is the top, where the datasets are the folders.
Errors are of `jupyter_alc.core.errors`: `FileNotThere` (the archive said so), `ArchiveUnreachable` (could not ask:
EIO), `VersionChanged` (ESTALE), `ReadOnly`,
`Denied`, `Exists`, `IsFolder`, `NotFolder`, `NotEmpty`, `OtherDataset` (EXDEV),
`NoSpace`; most are also an `OSError` with the right `errno`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from jupyter_alc.dms.entry import Entry, Kind

if TYPE_CHECKING:
    from jupyter_alc.core.dataset import MountedDataset
    from jupyter_alc.core.states import FileState

__all__ = ["DatasetStatus", "Engine", "Entry", "Handle", "Kind", "Sending", "Unsent"]

Change = Callable[[str, str], None]
"""Called as (what, path): ("data", "") when the status changed; ("stale", path) when a name or its bytes changed in
the archive or by a write, so a kernel must forget them; ("gone", path) when a name is no more. On the engine's loop."""


class Handle(Protocol):
    """An open file. Ask nothing else of it; give it back to the engine."""

    @property
    def path(self) -> str:
        """Where it was opened; a rename is followed."""
        ...

    @property
    def size(self) -> int:
        """Its size in bytes now."""
        ...

    @property
    def token(self) -> str:
        """The version that reads of this handle see; it changes with each write of ours."""
        ...

    @property
    def staged(self) -> bool:
        """Whether it reads and writes local, unsent data (no kernel cache may outlive the handle)."""
        ...


@dataclass(frozen=True, slots=True)
class Unsent:
    """A written file that the archive has not confirmed yet."""

    path: str
    state: FileState
    size_bytes: int
    problem: dict[str, str] | None = None

    def as_json(self) -> dict[str, Any]:
        """The form of `GET /v1/status`."""
        return {
            "path": self.path,
            "state": str(self.state),
            "size_bytes": self.size_bytes,
            "problem": self.problem,
        }


@dataclass(frozen=True, slots=True)
class Sending:
    """The upload going on."""

    path: str
    sent_bytes: int
    size_bytes: int

    def as_json(self) -> dict[str, Any]:
        """The form of `GET /v1/status`."""
        return {"path": self.path, "sent_bytes": self.sent_bytes, "size_bytes": self.size_bytes}


@dataclass(frozen=True, slots=True)
class DatasetStatus:
    """How one dataset stands. `needed_bytes` were asked for by readers, `moved_bytes` came from the archive.

    `state` is ok, sending, unsent or unreachable. `guarantee` says in words what the archive cannot promise ("" =
    nothing to say).
    """

    id: str
    title: str
    where: str
    access: str
    size_bytes: int | None
    needed_bytes: int
    moved_bytes: int
    cached_bytes: int
    requests: int
    unsent_files: int
    unsent_bytes: int
    sending: Sending | None
    state: str
    problem: dict[str, str] | None
    guarantee: str = ""

    def as_json(self) -> dict[str, Any]:
        """The form of `GET /v1/status`."""
        told = {name: getattr(self, name) for name in self.__slots__}
        return {**told, "sending": self.sending.as_json() if self.sending else None}


class Engine(Protocol):
    """Reads, writes and names of some datasets, for one person."""

    async def start(self) -> None:
        """Take the volume (`Conflict` when another engine has it) and pick up what was unsent."""
        ...

    async def stop(self) -> None:
        """Let go of everything. What is unsent stays staged and is picked up by the next `start`."""
        ...

    def datasets(self) -> list[MountedDataset]:
        """The datasets, in the order given."""
        ...

    async def info(self, path: str) -> Entry:
        """What `path` is."""
        ...

    async def ls(self, path: str) -> list[Entry]:
        """What is in a folder, attributes included, unsent files overlaid, in order of name."""
        ...

    async def open(
        self, path: str, *, write: bool = False, create: bool = False, truncate: bool = False, exclusive: bool = False
    ) -> Handle:
        """Open a file. `create` makes it where it is not, `exclusive` refuses where it is. Close each handle once."""
        ...

    def read_cached(self, handle: Handle, start: int, stop: int) -> bytes | None:
        """The bytes, if all of them are here and verified; None is a miss: `read` then. Never waits; any thread."""
        ...

    async def read(self, handle: Handle, start: int, stop: int) -> bytes:
        """Exactly the bytes `start`..`stop`, fewer only at the end of the file."""
        ...

    async def write(self, handle: Handle, offset: int, data: bytes) -> int:
        """Write all of `data` to local staging; a gap before it reads as zeros."""
        ...

    async def truncate(self, path_or_handle: str | Handle, size: int) -> None:
        """Cut or extend to `size` bytes."""
        ...

    async def fsync(self, handle: Handle) -> None:
        """Return when what was written is durable on the local disk."""
        ...

    async def close(self, handle: Handle) -> None:
        """Return when what was written is durable on the local disk; the upload is then queued."""
        ...

    async def mkdir(self, path: str) -> None:
        """Make a folder in the archive."""
        ...

    async def rmdir(self, path: str) -> None:
        """Remove an empty folder."""
        ...

    async def unlink(self, path: str) -> None:
        """Remove a file. Open handles keep their bytes."""
        ...

    async def rename(self, old: str, new: str) -> None:
        """Rename, replacing a file of the new name."""
        ...

    async def flush(self, deadline_seconds: float) -> list[Unsent]:
        """Send what is unsent now, wait at most so long, and answer what is left (empty: all is in the archive)."""
        ...

    def status(self) -> list[DatasetStatus]:
        """How each dataset stands."""
        ...

    def unsent(self) -> list[Unsent]:
        """Every written file that the archive has not confirmed."""
        ...

    def on_change(self, callback: Change) -> None:
        """Tell `callback` of changes from now on."""
        ...
