"""The states of everything that lives for a while, and the only moves between them.

machine     requested -> building -> configuring -> ready -> claimed -> in-use -> draining -> deleting -> gone
allocation  claimed -> mounting -> starting -> ready -> releasing -> released     side exits: failed, refused
cluster     asked -> starting -> ready -> stopping -> gone                        side exits: failed, lost
file        open-dirty -> staged -> uploading -> verifying -> clean               side exits: waiting, conflict, refused
transfer    listing -> moving -> done                                             side exits: waiting, failed, cancelled
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final, TypeVar

from jupyter_alc.core.errors import IllegalMove

if TYPE_CHECKING:
    from collections.abc import Mapping


class MachineState(StrEnum):
    """A machine's life, from the row that asks for it to the cloud's word that it is no more."""

    REQUESTED = "requested"  # row written, cloud not yet called
    BUILDING = "building"  # the cloud answered with an id
    CONFIGURING = "configuring"  # the agent enrolled and tests itself
    READY = "ready"  # warm, nobody's
    CLAIMED = "claimed"  # one person's, being prepared
    IN_USE = "in-use"  # the person's server answers
    DRAINING = "draining"  # unsent results on their way; then it goes
    DELETING = "deleting"  # the cloud was asked to end it
    GONE = "gone"  # the cloud's list says so
    FAILED = "failed"  # never came up, or broke; still to be deleted


class AllocationState(StrEnum):
    """One person's claim on a machine for one server."""

    QUEUED = "queued"  # waits for a machine that is being made
    CLAIMED = "claimed"
    MOUNTING = "mounting"
    STARTING = "starting"
    READY = "ready"
    RELEASING = "releasing"
    RELEASED = "released"
    FAILED = "failed"
    REFUSED = "refused"


class ClusterState(StrEnum):
    """One person's cluster."""

    ASKED = "asked"
    STARTING = "starting"
    READY = "ready"
    STOPPING = "stopping"
    FAILED = "failed"
    LOST = "lost"
    GONE = "gone"


class FileState(StrEnum):
    """A written file's way to the archive."""

    OPEN_DIRTY = "open-dirty"
    STAGED = "staged"
    UPLOADING = "uploading"
    VERIFYING = "verifying"
    CLEAN = "clean"
    WAITING = "waiting"
    CONFLICT = "conflict"
    REFUSED = "refused"


class TransferState(StrEnum):
    """The way of files and folders into the cache."""

    LISTING = "listing"  # folders are walked
    MOVING = "moving"
    WAITING = "waiting"  # the archive is out of reach; goes on by itself
    DONE = "done"  # all is here
    FAILED = "failed"  # not all is here; can be resumed
    CANCELLED = "cancelled"  # by a person; can be resumed


_M, _A, _C, _F, _T = MachineState, AllocationState, ClusterState, FileState, TransferState

MACHINE_MOVES: Final[Mapping[MachineState, frozenset[MachineState]]] = {
    _M.REQUESTED: frozenset({_M.BUILDING, _M.CONFIGURING, _M.FAILED, _M.DELETING}),
    _M.BUILDING: frozenset({_M.CONFIGURING, _M.FAILED, _M.DELETING}),
    _M.CONFIGURING: frozenset({_M.READY, _M.FAILED, _M.DELETING}),
    _M.READY: frozenset({_M.CLAIMED, _M.FAILED, _M.DELETING}),
    _M.CLAIMED: frozenset({_M.IN_USE, _M.DRAINING, _M.FAILED, _M.DELETING}),
    _M.IN_USE: frozenset({_M.DRAINING, _M.FAILED, _M.DELETING}),
    _M.DRAINING: frozenset({_M.DELETING, _M.FAILED}),
    _M.FAILED: frozenset({_M.DELETING}),
    _M.DELETING: frozenset({_M.GONE}),
    _M.GONE: frozenset(),
}

ALLOCATION_MOVES: Final[Mapping[AllocationState, frozenset[AllocationState]]] = {
    _A.QUEUED: frozenset({_A.CLAIMED, _A.RELEASED, _A.FAILED}),
    _A.CLAIMED: frozenset({_A.MOUNTING, _A.RELEASING, _A.FAILED}),
    _A.MOUNTING: frozenset({_A.STARTING, _A.RELEASING, _A.FAILED}),
    _A.STARTING: frozenset({_A.READY, _A.RELEASING, _A.FAILED}),
    _A.READY: frozenset({_A.RELEASING, _A.FAILED}),
    _A.RELEASING: frozenset({_A.RELEASED, _A.FAILED}),
    _A.FAILED: frozenset({_A.RELEASED, _A.RELEASING}),
    _A.RELEASED: frozenset(),
    _A.REFUSED: frozenset(),
}

CLUSTER_MOVES: Final[Mapping[ClusterState, frozenset[ClusterState]]] = {
    _C.ASKED: frozenset({_C.STARTING, _C.GONE}),
    _C.STARTING: frozenset({_C.READY, _C.FAILED, _C.STOPPING}),
    _C.READY: frozenset({_C.STOPPING, _C.LOST}),
    _C.STOPPING: frozenset({_C.GONE}),
    _C.FAILED: frozenset({_C.STOPPING}),
    _C.LOST: frozenset({_C.STOPPING}),
    _C.GONE: frozenset(),
}

FILE_MOVES: Final[Mapping[FileState, frozenset[FileState]]] = {
    _F.OPEN_DIRTY: frozenset({_F.STAGED}),
    _F.STAGED: frozenset({_F.OPEN_DIRTY, _F.UPLOADING}),
    _F.UPLOADING: frozenset({_F.VERIFYING, _F.WAITING, _F.CONFLICT, _F.REFUSED, _F.OPEN_DIRTY}),
    _F.VERIFYING: frozenset({_F.CLEAN, _F.WAITING, _F.CONFLICT, _F.REFUSED, _F.OPEN_DIRTY}),
    _F.WAITING: frozenset({_F.UPLOADING, _F.OPEN_DIRTY}),
    _F.CONFLICT: frozenset({_F.UPLOADING, _F.OPEN_DIRTY, _F.CLEAN}),
    _F.REFUSED: frozenset({_F.UPLOADING, _F.OPEN_DIRTY}),
    _F.CLEAN: frozenset({_F.OPEN_DIRTY}),
}

TRANSFER_MOVES: Final[Mapping[TransferState, frozenset[TransferState]]] = {
    _T.LISTING: frozenset({_T.MOVING, _T.WAITING, _T.FAILED, _T.CANCELLED}),
    _T.MOVING: frozenset({_T.DONE, _T.WAITING, _T.FAILED, _T.CANCELLED}),
    _T.WAITING: frozenset({_T.LISTING, _T.MOVING, _T.FAILED, _T.CANCELLED}),
    _T.FAILED: frozenset({_T.LISTING, _T.MOVING}),
    _T.CANCELLED: frozenset({_T.LISTING, _T.MOVING}),
    _T.DONE: frozenset(),
}

State = TypeVar("State", MachineState, AllocationState, ClusterState, FileState, TransferState)


def may_become(moves: Mapping[State, frozenset[State]], now: State, then: State) -> bool:
    """Say whether `now` may become `then`."""
    return then in moves[now]


def check_move(moves: Mapping[State, frozenset[State]], now: State, then: State, what: str) -> State:
    """Return `then` if `now` may become it; else raise `IllegalMove` naming `what` it was about."""
    if not may_become(moves, now, then):
        raise IllegalMove(f"{what} is {now} and cannot become {then}.", next_step="Look at its state again and retry.")
    return then
