"""`jupyter_alc.client().dms`: the user's data as Python calls."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING
from urllib.parse import quote

from jupyter_alc.core.errors import AlcError, Unavailable, from_json
from jupyter_alc.core.states import TransferState
from jupyter_alc.magics.asking import DEADLINE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable

    from jupyter_alc.magics.asking import Asking, Tell, Told

PAUSE_SECONDS = 0.3
PLAN_SECONDS = 600.0  # a folder of a million files is walked by as many pages as it has
GOING = frozenset({TransferState.LISTING, TransferState.MOVING, TransferState.WAITING})


class DataCalls:
    """The user's data."""

    def __init__(self, asking: Asking, pause: Callable[[float], None] = time.sleep) -> None:
        self._ask, self._pause = asking.ask, pause

    def status(self) -> Told:
        """Datasets with bytes needed, moved and from cache, what is unsent, and the newest transfers."""
        return dict(self._ask("GET", "data"))

    def ls(self, path: str = "") -> list[Told]:
        """The names in `<dataset>/<folder>`; the datasets for an empty path."""
        return list(self._ask("GET", "data/ls", query={"path": path})["entries"])

    def refresh(self, path: str = "") -> None:
        """Ask the archive about a file or folder now, whatever was believed; the tops of all datasets for no path."""
        self._ask("POST", "data/refresh", {"path": path}, deadline_seconds=PLAN_SECONDS)

    def files(
        self, path: str = "", after: str = "", limit: int = 1000, deadline_seconds: float = DEADLINE_SECONDS
    ) -> Told:
        """`{"entries", "next", "coming"}`: at most `limit` names behind the name `after`, in order.

        Each has its `state` and how many bytes of it are here (`cached_bytes`). `next` is the `after` of what follows.
        """
        query = {"path": path, "after": after, "limit": str(limit)}
        return dict(self._ask("GET", "data/files", query=query, deadline_seconds=deadline_seconds))

    def plan(self, path: str) -> Told:
        """What fetching `path` would mean: files, size, what is here, requests, seconds (None: not measured yet)."""
        return dict(self._ask("GET", "data/plan", query={"path": path}, deadline_seconds=PLAN_SECONDS))

    def fetch(
        self,
        *paths: str,
        connections: int | None = None,
        bytes_per_second: int | None = None,
        tell: Tell | None = None,
        wait: bool = True,
    ) -> Told:
        """Bring files and folders into the cache; return the transfer, ended, or as it began where `wait` is False.

        `tell` hears of it at every look. Raises what went wrong where it fails. Ctrl-C ends the waiting alone: the
        transfer goes on until it is done or cancelled.
        """
        asked = {"paths": list(paths), "connections": connections, "bytes_per_second": bytes_per_second}
        begun = dict(self._ask("POST", "data/transfers", {key: one for key, one in asked.items() if one is not None}))
        return self.wait(begun, tell) if wait else begun

    def wait(self, transfer: Told, tell: Tell | None = None) -> Told:
        """Look at a transfer until it has ended; raises what went wrong where it fails."""
        while True:
            if tell is not None:
                tell(transfer)
            if transfer["state"] not in GOING:
                break
            self._pause(PAUSE_SECONDS)
            transfer = self.transfer(transfer["id"])
        if transfer["state"] == TransferState.FAILED:
            raise failure_of(transfer)
        return transfer

    def transfers(self) -> list[Told]:
        """The transfers under way and the last that ended, the newest first."""
        return list(self._ask("GET", "data/transfers")["transfers"])

    def transfer(self, id: str) -> Told:
        """One of them."""
        return dict(self._ask("GET", f"data/transfers/{quote(id, safe='')}"))

    def resume(self, id: str) -> Told:
        """Go on with one that was cancelled or failed, or at once with one that waits."""
        return dict(self._ask("POST", f"data/transfers/{quote(id, safe='')}/resume"))

    def cancel(self, id: str) -> Told:
        """End one; what has come stays."""
        return dict(self._ask("DELETE", f"data/transfers/{quote(id, safe='')}"))

    def history(self, path: str = "", limit: int = 100) -> list[Told]:
        """What happened at and below `path`, the newest first."""
        return list(self._ask("GET", "data/history", query={"path": path, "limit": str(limit)})["events"])

    def mount(self, dataset: str) -> Told:
        """Let a dataset of this session come back into the folder."""
        return dict(self._ask("POST", "data/mounts", {"dataset": dataset}))

    def unmount(self, dataset: str) -> Told:
        """Let it leave the folder; what is open stays open, what is unsent goes on being sent and is told."""
        return dict(self._ask("DELETE", f"data/mounts/{quote(dataset, safe='')}"))

    def notebooks(self) -> Told:
        """Bytes needed, moved and from cache: `{"notebooks": [by path], "others": [by name]}`."""
        return dict(self._ask("GET", "data/notebooks"))

    def flush(self, deadline_seconds: float = 60.0) -> list[Told]:
        """Send what is unsent; return what is left after the deadline, nothing when all is at the archive."""
        body = {"deadline_seconds": deadline_seconds}
        told = self._ask("POST", "data/flush", body, deadline_seconds=deadline_seconds + 30)
        return list(told.get("unsent") or [])


def failure_of(transfer: Told) -> AlcError:
    """Why a transfer failed, as an error to raise; the next step names the resume."""
    again = f"dms resume {transfer['id']} tries what is missing again; what has come stays."
    problem = transfer.get("problem")
    if isinstance(problem, dict):
        told = from_json(problem)
        told.next_step = f"{told.next_step} {again}".strip()
        return told
    return Unavailable(f"{transfer.get('failed_files')} files could not be brought.", next_step=again)
