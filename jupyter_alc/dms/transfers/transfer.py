"""One transfer: what was asked for, how far it is, and how it is told."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from jupyter_alc.core.states import TRANSFER_MOVES, TransferState, check_move

if TYPE_CHECKING:
    from collections.abc import Sequence

ENDED: Final = frozenset({TransferState.DONE, TransferState.FAILED, TransferState.CANCELLED})
TOLD_FAILED: Final = 20
_SPEED_SECONDS: Final = 5.0
_SAMPLE_SECONDS: Final = 0.1


@dataclass(frozen=True, slots=True)
class Wish:
    """What was asked for. `paths` are `dataset/folder`; `number` orders transfers, `pattern` is "" for a person's."""

    id: str
    number: int
    paths: tuple[str, ...]
    connections: int
    files_at_once: int
    bytes_per_second: int | None
    pattern: str
    begun: float

    @property
    def datasets(self) -> frozenset[str]:
        """The datasets it is about."""
        return frozenset(path.partition("/")[0] for path in self.paths)


class Speed:
    """Bytes a second over the last seconds."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def at(self, now: float, moved: int) -> float:
        """The speed, when `moved` bytes had come in all by the time `now`; ask often."""
        if not self._seen or now - self._seen[-1][0] >= _SAMPLE_SECONDS:
            self._seen.append((now, moved))
        while len(self._seen) > 2 and now - self._seen[0][0] > _SPEED_SECONDS:
            self._seen.popleft()
        then, before = self._seen[0]
        return (moved - before) / (now - then) if now > then else 0.0


@dataclass
class Transfer:
    """A wish and how far it is. `going` holds what is here of the files under way, by path."""

    wish: Wish
    state: TransferState = TransferState.LISTING
    files: int = 0
    files_done: int = 0
    size_bytes: int = 0
    moved_bytes: int = 0
    settled_bytes: int = 0  # of the files that are done
    ended: float | None = None
    problem: dict[str, str] | None = None
    failed: list[dict[str, Any]] = field(default_factory=list)
    failed_files: int = 0
    going: dict[str, int] = field(default_factory=dict)
    speed: Speed = field(default_factory=Speed)

    @property
    def over(self) -> bool:
        """Whether nothing more happens by itself."""
        return self.state in ENDED

    @property
    def done_bytes(self) -> int:
        """What is here of all its files."""
        return self.settled_bytes + sum(self.going.values())

    def become(self, state: TransferState, problem: dict[str, str] | None = None, ended: float | None = None) -> None:
        """Move on; `IllegalMove` where that may not be."""
        if state is not self.state:
            self.state = check_move(TRANSFER_MOVES, self.state, state, f"Transfer {self.wish.id}")
        self.problem, self.ended = problem, ended

    def as_json(self, now: float) -> dict[str, Any]:
        """The form of REST; `now` is of the monotonic clock."""
        speed = 0.0 if self.over else self.speed.at(now, self.moved_bytes)
        left = max(self.size_bytes - self.done_bytes, 0)
        wish = self.wish
        return {
            "id": wish.id,
            "state": str(self.state),
            "paths": list(wish.paths),
            "files": self.files,
            "files_done": self.files_done,
            "size_bytes": self.size_bytes,
            "done_bytes": self.done_bytes,
            "moved_bytes": self.moved_bytes,
            "bytes_per_second": int(speed),
            "seconds_left": round(left / speed, 1) if speed >= 1 and self.state is TransferState.MOVING else None,
            "begun": wish.begun,
            "ended": self.ended,
            "connections": wish.connections,
            "cap_bytes_per_second": wish.bytes_per_second,
            "pattern": wish.pattern,
            "failed": self.failed[:TOLD_FAILED],
            "failed_files": self.failed_files,
            "problem": self.problem,
        }


def roots(paths: Sequence[str]) -> tuple[str, ...]:
    """`paths` without those that lie in another of them, in order."""
    found: list[str] = []
    for path in sorted(set(paths), key=lambda one: one.split("/")):
        if not any(path == one or path.startswith(f"{one}/") for one in found[-1:]):
            found.append(path)
    return tuple(found)
