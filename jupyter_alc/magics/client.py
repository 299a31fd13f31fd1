"""The Python calls: what the magics and the `alc` command do, for a program.

    alc = jupyter_alc.client()
    alc.dms.status()
    cluster = alc.piezo.start("mine", workers=1)

Each call asks the user's own Jupyter server and returns what it told, as plain dictionaries; each failure is an
`AlcError` with its next step. They block, with a deadline.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jupyter_alc.core.errors import AlcError, Conflict, NotFound, TooLate, Unavailable, from_json
from jupyter_alc.core.states import ClusterState
from jupyter_alc.magics.asking import PREFIX, Asking
from jupyter_alc.magics.data_calls import DataCalls
from jupyter_alc.magics.finding import find_server

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from jupyter_alc.magics.asking import Tell, Told

START_SECONDS = 300.0
STOP_SECONDS = 90.0
PAUSE_SECONDS = 0.5
USABLE = frozenset({ClusterState.ASKED, ClusterState.STARTING, ClusterState.READY})
BROKEN = frozenset({ClusterState.FAILED, ClusterState.LOST})


def _nobody_listens(cluster: Told) -> None:
    """For callers who do not watch."""


class MachineCalls:
    """The machine this server runs on."""

    def __init__(self, asking: Asking) -> None:
        self._ask = asking.ask

    def status(self) -> Told:
        """The machine, what it uses now, and its allocation."""
        return dict(self._ask("GET", "machine"))

    def stop(self) -> Told:
        """Give the machine back: unsent results are sent first, then the server ends."""
        return dict(self._ask("DELETE", "machine"))


@dataclass(frozen=True, slots=True)
class Started:
    """What `start` did: the cluster, whether it was there before, and which options it therefore does not have."""

    cluster: Told
    again: bool
    unheeded: tuple[str, ...] = ()


class ClusterCalls:
    """The user's clusters."""

    def __init__(self, asking: Asking, pause: Callable[[float], None] = time.sleep) -> None:
        self._ask, self._base_path, self._pause = asking.ask, asking.base_path, pause

    def status(self) -> list[Told]:
        """All clusters that are not gone."""
        return list(self._ask("GET", "piezo/clusters")["clusters"])

    def get(self, id: str) -> Told:
        """One cluster; `NotFound` when it is gone."""
        return dict(self._ask("GET", f"piezo/clusters/{id}"))

    def named(self, name: str) -> Told | None:
        """The cluster of that name; a usable one before one that failed or goes."""
        found = [one for one in self.status() if one["name"] == name and one["state"] != ClusterState.GONE]
        return min(found, key=lambda one: one["state"] not in USABLE, default=None)

    def connection(self, id: str) -> Told:
        """Where the cluster answers, with its token: a secret, never to be shown."""
        return dict(self._ask("GET", f"piezo/clusters/{id}/connection"))

    def ui_path(self, id: str) -> str:
        """Where the browser finds the cluster's Spark UI, on the address of the notebook."""
        return f"{self._base_path}{PREFIX}/piezo/clusters/{id}/ui/jobs/"

    def start(
        self,
        name: str = "spark",
        *,
        workers: int | None = None,
        cores_per_worker: int | None = None,
        memory_per_worker: str | None = None,
        deadline_seconds: float = START_SECONDS,
        tell: Tell = _nobody_listens,
    ) -> Started:
        """Start a cluster, or find the one of that name, and wait until it is ready.

        `tell` hears of it at every look. A cluster of that name that failed is cleared away first. Options do not
        change a cluster that was found: `unheeded` names them. Raises what the cluster's problem is when it fails,
        `TooLate` after the deadline; then it goes on starting.
        """
        asked = {
            "name": name,
            "workers": workers,
            "cores_per_worker": cores_per_worker,
            "memory_per_worker": memory_per_worker,
        }
        found = self.named(name)
        if found is not None and found["state"] not in USABLE:
            self.stop(found["id"], tell=tell)
            found = None
        again = found is not None
        given = {key: value for key, value in asked.items() if value is not None}
        cluster = found or self._create(given)
        has = dict(cluster.get("options") or {})
        unheeded = tuple(key for key in given if key != "name" and has.get(key) != given[key]) if again else ()
        return Started(self._until_ready(cluster, deadline_seconds, tell), again, unheeded)

    def stop(self, id: str, *, deadline_seconds: float = STOP_SECONDS, tell: Tell = _nobody_listens) -> None:
        """End a cluster and wait until it is gone; one that is gone already is no error."""
        try:
            cluster = dict(self._ask("DELETE", f"piezo/clusters/{id}", deadline_seconds=deadline_seconds))
            end = time.monotonic() + deadline_seconds
            while cluster["state"] != ClusterState.GONE:
                tell(cluster)
                if time.monotonic() > end:
                    raise TooLate("The cluster is still stopping.", next_step="Look again with %piezo status.")
                self._pause(PAUSE_SECONDS)
                cluster = self.get(id)
        except NotFound:
            return

    def _create(self, options: Told) -> Told:
        return dict(self._ask("POST", "piezo/clusters", options))

    def _until_ready(self, cluster: Told, seconds: float, tell: Tell) -> Told:
        end = time.monotonic() + seconds
        while True:
            tell(cluster)
            if cluster["state"] == ClusterState.READY:
                return cluster
            if cluster["state"] not in USABLE:
                raise problem_of(cluster)
            if time.monotonic() > end:
                raise TooLate(
                    f"Cluster {cluster['name']} was not ready within {seconds:.0f} s.{_why(cluster)}",
                    next_step="It goes on starting: look with %piezo status.",
                )
            self._pause(PAUSE_SECONDS)
            try:
                cluster = self.get(cluster["id"])
            except NotFound:
                raise Conflict(
                    f"Cluster {cluster['name']} was ended while it started.", next_step="Start it again."
                ) from None


class Alc:
    """The three parts, through the user's own Jupyter server."""

    def __init__(self, asking: Asking | None = None) -> None:
        self._asking = asking or Asking(find_server())
        self.dms = DataCalls(self._asking)
        self.piezo = ClusterCalls(self._asking)
        self.vmm = MachineCalls(self._asking)


def problem_of(cluster: Mapping[str, Any]) -> AlcError:
    """Why a cluster is not usable, as an error to raise."""
    problem = cluster.get("problem")
    if isinstance(problem, dict):
        return from_json(problem)
    return Unavailable(
        f"Cluster {cluster.get('name')} is {cluster.get('state')}.{_why(cluster)}",
        next_step="Start it again; %piezo status tells more.",
    )


def _why(cluster: Mapping[str, Any]) -> str:
    reason = str(cluster.get("reason") or "").strip()
    return f" {reason[:1].upper()}{reason[1:]}{'' if reason.endswith('.') else '.'}" if reason else ""
