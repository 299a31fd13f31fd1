"""A data service that plays: datasets, folders and transfers from memory, whose bytes move as the clock goes on.

It answers in the words of the real one, for tests of what shows them: server, magics, command line and panel.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from jupyter_alc.core.clock import Clock, SystemClock
from jupyter_alc.core.errors import AlcError, ArchiveUnreachable, FileNotThere, IllegalMove, NotFound
from jupyter_alc.core.states import TRANSFER_MOVES, TransferState, may_become

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

MB: Final = 1_000_000
_GONE: Final = FileNotThere("The archive has it no more.", next_step="Fetch its folder again.")
AWAY: Final = ArchiveUnreachable("The archive does not answer.", next_step="It is asked again by itself.")


@dataclass
class PlayedFile:
    """One file: how long it is, how much of it is here, its state when it is unsent."""

    size: int
    here: int = 0
    unsent: str = ""

    @property
    def state(self) -> str:
        """Where its bytes are."""
        return self.unsent or ("cached" if self.here >= self.size else "partly" if self.here else "archive")


@dataclass
class PlayedDataset:
    """A dataset and its files by their paths in it."""

    id: str
    title: str
    access: str = "read"
    files: dict[str, PlayedFile] = field(default_factory=dict)
    needed: int = 0
    moved: int = 0
    from_cache: int = 0
    requests: int = 0
    mounted: bool = True
    problem: AlcError | None = None

    def as_json(self) -> dict[str, Any]:
        """As `GET /v1/status` tells it."""
        unsent = [one for one in self.files.values() if one.unsent]
        return {
            "id": self.id,
            "title": self.title,
            "where": "the facility's archive",
            "access": self.access,
            "size_bytes": sum(one.size for one in self.files.values()) if self.access == "read" else None,
            "needed_bytes": self.needed,
            "moved_bytes": self.moved,
            "from_cache_bytes": self.from_cache,
            "cached_bytes": sum(one.here for one in self.files.values()),
            "requests": self.requests,
            "unsent_files": len(unsent),
            "unsent_bytes": sum(one.size for one in unsent),
            "sending": None,
            "state": "unreachable" if self.problem else "unsent" if unsent else "ok",
            "problem": None if self.problem is None else self.problem.as_json(),
            "guarantee": "",
            "mounted": self.mounted,
        }


@dataclass
class PlayedTransfer:
    """A transfer that moves `speed` bytes a second from `since` on, and fails at `breaks_at` bytes."""

    id: str
    paths: list[str]
    files: int
    size: int
    here: int
    begun: float
    speed: float
    connections: int
    cap: int | None
    since: float
    done: float = 0.0
    state: TransferState = TransferState.MOVING
    ended: float | None = None
    problem: AlcError | None = None
    breaks_at: float | None = None
    failed: tuple[str, ...] = ()

    def at(self, now: float) -> dict[str, Any]:
        """As `GET /v1/transfers/{id}` tells it at the time `now`."""
        if self.state is TransferState.MOVING:
            self.done, self.since = min(self.size, self.done + self.speed * (now - self.since)), now
            if self.breaks_at is not None and self.done >= self.breaks_at:
                self.done, self.state, self.ended = self.breaks_at, TransferState.FAILED, now
            elif self.done >= self.size:
                self.state, self.ended = TransferState.DONE, now
        moving = self.state is TransferState.MOVING
        broken = self.state is TransferState.FAILED
        failed = [{"path": path, "problem": _GONE.as_json()} for path in self.failed] if broken else []
        return {
            "id": self.id,
            "state": str(self.state),
            "paths": self.paths,
            "files": self.files,
            "files_done": int(self.files * self.done / self.size) if self.size else self.files,
            "size_bytes": self.size,
            "done_bytes": int(self.done),
            "moved_bytes": max(0, int(self.done) - self.here),
            "bytes_per_second": self.speed if moving else 0.0,
            "seconds_left": (self.size - self.done) / self.speed if moving else None,
            "begun": self.begun,
            "ended": self.ended,
            "connections": self.connections,
            "cap_bytes_per_second": self.cap,
            "pattern": "",
            "failed": failed,
            "failed_files": len(failed),
            "problem": None if self.problem is None else self.problem.as_json(),
        }


class ScriptedData:
    """Everything a Jupyter server asks of a data service. `speed` is in bytes a second."""

    def __init__(self, datasets: Sequence[PlayedDataset], speed: float = 8 * MB, clock: Clock | None = None) -> None:
        self.datasets = {one.id: one for one in datasets}
        self.speed, self._clock = speed, clock or SystemClock()
        self.played: dict[str, PlayedTransfer] = {}
        self.happened: list[dict[str, Any]] = []
        self.heard: list[dict[str, Any]] = []

    def _now(self) -> float:
        return self._clock.now().timestamp()

    async def status(self) -> dict[str, Any]:
        """The datasets and what is unsent."""
        unsent = [
            {"path": f"{one.id}/{path}", "state": file.unsent, "size_bytes": file.size, "problem": None}
            for one in self.datasets.values()
            for path, file in one.files.items()
            if file.unsent
        ]
        daemon = {"pid": 1, "uid": 1, "user": "ada", "mount": "/home/ada/data", "mounted": True, "problem": None}
        told = [one.as_json() for one in self.datasets.values()]
        return {"daemon": {**daemon, "version": "0"}, "datasets": told, "unsent": unsent}

    async def files(self, path: str, after: str = "", limit: int = 1000) -> dict[str, Any]:
        """Names of a folder behind `after`, and where they are."""
        behind = [one for one in self._names(path) if one["name"] > after]
        last = behind[limit - 1]["name"] if len(behind) > limit else None
        return {"entries": behind[:limit], "next": last, "coming": False}

    def _names(self, path: str) -> list[dict[str, Any]]:
        if not path:
            return [_folder(one) for one in self.datasets if self.datasets[one].mounted]
        dataset, inner = self._at(path)
        below = f"{inner}/" if inner else ""
        found: dict[str, dict[str, Any]] = {}
        for place, file in dataset.files.items():
            name, deeper, _ = place.removeprefix(below).partition("/")
            if place.startswith(below):
                found[name] = _folder(name) if deeper else _file(name, file)
        if not found and inner:
            raise FileNotThere(f"There is no folder {path[:100]}.", next_step="List the folder above it.")
        return [found[name] for name in sorted(found)]

    async def ls(self, path: str) -> list[dict[str, Any]]:
        """What is in a folder."""
        return [_unplaced(one) for one in self._names(path)]

    async def part(self, path: str, after: str, limit: int) -> dict[str, Any]:
        """Some of what is in a folder."""
        told = await self.files(path, after, limit)
        return {**told, "entries": [_unplaced(one) for one in told["entries"]]}

    async def refresh(self, path: str) -> None:
        """Nothing is believed here."""
        self._names(path)

    async def plan(self, path: str) -> dict[str, Any]:
        """What fetching would mean."""
        files = self._below(path)
        size, here = sum(one.size for one in files), sum(one.here for one in files)
        return {
            "path": path,
            "files": len(files),
            "size_bytes": size,
            "cached_bytes": here,
            "move_bytes": size - here,
            "requests": sum(-(-(one.size - one.here) // (4 << 20)) for one in files),
            "seconds": (size - here) / self.speed,
        }

    async def fetch(
        self, paths: Sequence[str], *, connections: int | None = None, bytes_per_second: int | None = None
    ) -> dict[str, Any]:
        """Begin a transfer."""
        files = [file for path in paths for file in self._below(path)]
        speed = min(self.speed, bytes_per_second or self.speed)
        size, here, now = sum(one.size for one in files), sum(one.here for one in files), self._now()
        made = PlayedTransfer(
            id=f"transfer-{len(self.played) + 1}",
            paths=list(paths),
            files=len(files),
            size=size,
            here=here,
            begun=now,
            speed=speed,
            connections=connections or 4,
            cap=bytes_per_second,
            since=now,
            done=here,
        )
        self.played[made.id] = made
        return made.at(now)

    async def transfers(self) -> list[dict[str, Any]]:
        """All, the newest first."""
        return [self._told(one) for one in reversed(self.played.values())]

    async def transfer(self, id: str) -> dict[str, Any]:
        """One."""
        return self._told(self._played(id))

    async def resume(self, id: str) -> dict[str, Any]:
        """Go on."""
        one = self._played(id)
        if not may_become(TRANSFER_MOVES, one.state, TransferState.MOVING):
            raise IllegalMove(f"The transfer is {one.state}.", next_step="Begin a new one.")
        one.state, one.since, one.problem, one.ended = TransferState.MOVING, self._now(), None, None
        one.breaks_at = None
        return one.at(self._now())

    async def cancel(self, id: str) -> dict[str, Any]:
        """End it."""
        one = self._played(id)
        self._told(one)
        if one.state not in {TransferState.DONE, TransferState.CANCELLED}:
            one.state, one.ended = TransferState.CANCELLED, self._now()
            self._happens("cancelled", one.paths[0])
        return self._told(one)

    async def history(self, path: str = "", limit: int = 100) -> list[dict[str, Any]]:
        """What happened."""
        found = [one for one in reversed(self.happened) if (one["path"] + "/").startswith(f"{path}/" if path else "")]
        return found[:limit]

    async def mount(self, dataset: str) -> dict[str, Any]:
        """Let it come back."""
        return self._mounted(dataset, mounted=True)

    async def unmount(self, dataset: str) -> dict[str, Any]:
        """Let it leave."""
        return self._mounted(dataset, mounted=False)

    async def readers(self) -> list[dict[str, Any]]:
        """Who read; the test says."""
        return self.heard

    async def metrics(self) -> str:
        """One figure."""
        moved = sum(one.moved for one in self.datasets.values())
        return f'jupyter_alc_dms_moved_bytes_total{{adapter="local"}} {moved}\n'

    async def flush(self, deadline_seconds: float) -> dict[str, Any]:
        """Send all at once."""
        for one in self.datasets.values():
            for path, file in one.files.items():
                if file.unsent:
                    file.unsent = ""
                    self._happens("sent", f"{one.id}/{path}", file.size)
        return {"unsent": []}

    async def events(self) -> AsyncGenerator[dict[str, str]]:
        """None."""
        none: list[dict[str, str]] = []
        for one in none:
            yield one

    async def close(self) -> None:
        """Nothing to let go of."""

    def _told(self, one: PlayedTransfer) -> dict[str, Any]:
        before = one.state
        told = one.at(self._now())
        if before is TransferState.MOVING and one.state is TransferState.DONE:
            for path in one.paths:
                dataset = self._at(path)[0]
                for file in self._below(path):
                    dataset.moved, file.here = dataset.moved + file.size - file.here, file.size
                self._happens("fetched", path, one.size)
        return told

    def _mounted(self, id: str, *, mounted: bool) -> dict[str, Any]:
        if id not in self.datasets:
            raise FileNotThere(f"There is no dataset {id!r} here.", next_step="List the top to see the datasets.")
        self.datasets[id].mounted = mounted
        self._happens("mounted" if mounted else "unmounted", id)
        return {"dataset": id, "mounted": mounted, "unsent": []}

    def _happens(self, what: str, path: str, size: int | None = None) -> None:
        seconds, at = None if size is None else size / self.speed, self._now()
        event = {"at": at, "what": what, "path": path, "bytes": size, "seconds": seconds, "problem": None}
        self.happened.append(event)

    def _at(self, path: str) -> tuple[PlayedDataset, str]:
        id, _, inner = path.partition("/")
        if id not in self.datasets or not self.datasets[id].mounted:
            raise FileNotThere(f"There is no dataset {id[:60]!r} here.", next_step="List the top to see the datasets.")
        if self.datasets[id].problem is not None:
            raise AWAY
        return self.datasets[id], inner

    def _below(self, path: str) -> list[PlayedFile]:
        dataset, inner = self._at(path)
        found = [f for place, f in dataset.files.items() if not inner or (place + "/").startswith(f"{inner}/")]
        if not found and inner:
            raise FileNotThere(f"There is no {path[:100]}.", next_step="List the folder above it.")
        return found

    def _played(self, id: str) -> PlayedTransfer:
        if id not in self.played:
            raise NotFound("There is no such transfer.", next_step="Look at the list of your transfers.")
        return self.played[id]


def _unplaced(entry: dict[str, Any]) -> dict[str, Any]:
    """A name without where its bytes are."""
    return {name: one for name, one in entry.items() if name not in {"state", "cached_bytes"}}


def _folder(name: str) -> dict[str, Any]:
    told = {"name": name, "type": "directory", "size": 0, "mtime": 0.0, "token": "", "writable": False}
    return {**told, "state": "folder", "cached_bytes": 0}


def _file(name: str, file: PlayedFile) -> dict[str, Any]:
    told = {"name": name, "type": "file", "size": file.size, "mtime": 0.0, "token": "1", "writable": False}
    return {**told, "state": file.state, "cached_bytes": file.here}
