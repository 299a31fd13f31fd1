"""What the engine promises to the mount, the daemon and `dms://`.

Everything is asyncio and belongs to one event loop, but for `Handle.cached`, which any thread may call.
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

from jupyter_alc.dms.engine.accounts import NOBODY, Opener
from jupyter_alc.dms.entry import Entry, Kind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from jupyter_alc.core.dataset import MountedDataset
    from jupyter_alc.core.states import FileState
    from jupyter_alc.dms.engine.accounts import Figures
    from jupyter_alc.dms.engine.filestates import PlacedPart
    from jupyter_alc.dms.engine.folders import Pages, Part
    from jupyter_alc.dms.engine.measures import Measures
    from jupyter_alc.dms.engine.supply import Supply

__all__ = ["DatasetStatus", "Engine", "Entry", "Handle", "Kind", "Sending", "Unsent"]

Change = Callable[[str, str], None]
"""Called as (what, path): ("data", "") when the status changed; ("stale", path) when a name or its bytes changed in
the archive or by a write, so a kernel must forget them; ("gone", path) when a name is no more; ("sent", path),
("conflict", path), ("refused", path) and ("changed", path) for people. On the engine's loop."""


class Handle(Protocol):
    """An open file; give it back to the engine."""

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

    def cached(self, start: int, stop: int) -> bytes | None:
        """The bytes, if all of them are here and verified; None is a miss: `Engine.read` then. Never waits."""
        ...

    def ahead(self, start: int, stop: int) -> bytes | None:
        """The same of the archive's bytes for a reader who has not asked yet: it counts when they are `passed`."""
        ...

    def passed(self, start: int, stop: int) -> None:
        """A reader has got these bytes that were given `ahead`; any thread."""
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
    """How one dataset stands. Readers got `needed_bytes`, `moved_bytes` came from the archive (S2).

    `from_cache_bytes` of what was needed did not have to move; `cached_bytes` lie in the cache now. `state` is ok,
    sending, unsent or unreachable; `mounted` says whether it is in the folder. `guarantee` says in words what the
    archive cannot promise ("" = nothing to say).
    """

    id: str
    title: str
    where: str
    access: str
    size_bytes: int | None
    needed_bytes: int
    moved_bytes: int
    from_cache_bytes: int
    cached_bytes: int
    requests: int
    unsent_files: int
    unsent_bytes: int
    sending: Sending | None
    state: str
    problem: dict[str, str] | None
    guarantee: str = ""
    mounted: bool = True

    def as_json(self) -> dict[str, Any]:
        """The form of `GET /v1/status`."""
        told = {name: getattr(self, name) for name in self.__slots__}
        return {**told, "sending": self.sending.as_json() if self.sending else None}


class Engine(Protocol):
    """Reads, writes and names of some datasets, for one person."""

    @property
    def supply(self) -> Supply:
        """What transfers take from it, once it is started."""
        ...

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

    async def pages(self, path: str) -> Pages:
        """The same some at a time, while the archive is still telling them: unsent files first, in no order (N10)."""
        ...

    async def part(self, path: str, after: str, limit: int) -> Part:
        """At most `limit` names of a folder behind the name `after`, in order; within about two seconds."""
        ...

    async def refresh(self, path: str) -> None:
        """Ask the archive about `path` now, and for what is in it (N15)."""
        ...

    async def last_seen(self, path: str) -> tuple[bool, Entry | None]:
        """Whether anything is known of `path`, and what, None for an absence; asks no archive, believes what is old."""
        ...

    async def real(self, path: str, *, makes: bool = False) -> str:
        """The path itself, or where it leads in a view (N18); `ReadOnly` for a name of a view that is to be made."""
        ...

    async def named(self, number: int) -> tuple[str, Entry] | None:
        """The path and entry that an entry's `number` stands for; None when it is gone or of another version (N13)."""
        ...

    async def files(self, path: str, after: str, limit: int) -> PlacedPart:
        """The names of `part`, and where the bytes of each file are (S5)."""
        ...

    async def state(self, path: str) -> str:
        """The state of one file as `files` tells it."""
        ...

    async def checksum(self, path: str) -> str:
        """What the archive itself says of a file's bytes, as `algorithm:hex`; "" where it says nothing (N17)."""
        ...

    def address(self, path: str) -> str:
        """The file's address in the archive, without credentials (N17)."""
        ...

    async def open(
        self,
        path: str,
        *,
        write: bool = False,
        create: bool = False,
        truncate: bool = False,
        exclusive: bool = False,
        opener: Opener = NOBODY,
    ) -> Handle:
        """Open a file. `create` makes it where it is not, `exclusive` refuses where it is. Close each handle once.

        What is read through the handle counts for `opener` (S3).
        """
        ...

    def is_version(self, handle: Handle, token: str) -> bool:
        """Whether the bytes of `handle` are those of the version `token`, also by the name it had unsent (W20)."""
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

    def readers(self) -> list[Figures]:
        """What each of the last readers needed and what moved for it, who opened a file last first."""
        ...

    def measures(self) -> Measures:
        """What the operator's metrics are made of."""
        ...

    def unsent(self) -> list[Unsent]:
        """Every written file that the archive has not confirmed."""
        ...

    def renew(self, credentials: Mapping[str, Mapping[str, str]]) -> list[str]:
        """Give the archives of these datasets other credentials; the ids of those that took them."""
        ...

    def adopt(self, datasets: Sequence[MountedDataset]) -> None:
        """Have these datasets from now on: new ones come, others leave the folder; what is open goes on (T13)."""
        ...

    def mount(self, dataset: str) -> bool:
        """Let a dataset of this session come back into the folder; False where it is there. `NotFound` for others."""
        ...

    def unmount(self, dataset: str) -> bool:
        """Let it leave the folder; False where it is not there. What is open goes on, what is unsent is sent (T11)."""
        ...

    def is_mounted(self, dataset: str) -> bool:
        """Whether it is in the folder."""
        ...

    def on_change(self, callback: Change) -> None:
        """Tell `callback` of changes from now on."""
        ...
