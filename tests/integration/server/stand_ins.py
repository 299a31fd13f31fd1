"""Parts for a real Jupyter server under test: clusters that live in memory, data and machines likewise.

Loaded by the server's own process from its configuration file, so it imports nothing of the tests.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from jupyter_alc.core.clock import random_id
from jupyter_alc.core.errors import BadInput, NotFound, Unavailable
from jupyter_alc.core.names import identifier
from jupyter_alc.server.parts import Parts
from jupyter_alc.testing.scripted_data import MB, PlayedDataset, PlayedFile, ScriptedData


@dataclass
class StandInCluster:
    """A cluster that becomes ready at the second look and is gone at the second look after its end was asked."""

    id: str
    name: str
    state: str = "starting"
    looks: int = 0

    def as_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "name": self.name,
            "framework": "spark",
            "version": "4.3.0",
            "backend": "standalone",
            "state": self.state,
            "reason": "",
            "ending": "",
            "cores": 1,
            "workers": 1,
            "executors": {"running": int(self.state == "ready"), "wanted": 1},
            "created": datetime.now(UTC).isoformat(),
            "ready_seconds": 1.0 if self.state == "ready" else None,
            "lease_until": datetime.now(UTC).isoformat(),
            "ui": self.state == "ready",
            "problem": None,
        }


@dataclass
class StandInClusters:
    """Keeps them in a dictionary."""

    alive: dict[str, StandInCluster] = field(default_factory=dict)
    renewed: int = 0

    async def list(self) -> list[StandInCluster]:
        return list(self.alive.values())

    async def create(self, id: str | None, options: dict[str, Any]) -> StandInCluster:
        wrong = []
        if odd := sorted(set(options) - {"name", "workers", "cores_per_worker", "memory_per_worker"}):
            wrong += odd
        workers = options.get("workers", 1)
        if isinstance(workers, bool) or not isinstance(workers, int) or not 1 <= workers <= 2:
            wrong.append("workers")
        if wrong:
            raise BadInput("Some options are wrong.", next_step="Give 1 or 2 workers.", field=", ".join(wrong)[:100])
        name = identifier(options.get("name", "spark"), "name")
        made = StandInCluster(id or random_id("cluster"), name)
        self.alive[made.id] = made
        return made

    async def get(self, id: str) -> StandInCluster:
        if id not in self.alive:
            raise NotFound("There is no such cluster.", next_step="Look at the list of your clusters.")
        one = self.alive[id]
        one.looks += 1
        if one.state == "starting" and one.looks > 1:
            one.state = "ready"
        if one.state == "stopping" and one.looks > 1:
            del self.alive[id]
        return one

    async def stop(self, id: str) -> StandInCluster:
        one = await self.get(id)
        one.state, one.looks = "stopping", 0
        return one

    async def renew(self, id: str) -> StandInCluster:
        self.renewed += 1
        return self.alive[id]

    async def connection(self, id: str) -> dict[str, Any]:
        await self.get(id)
        return {"connect_url": "sc://localhost:1/;token=secret", "ui_url": os.environ.get("ALC_TEST_UI_URL", "")}


class StandInData(ScriptedData):
    """One dataset with one folder; `archive/down` is unreachable."""

    def __init__(self) -> None:
        files = {
            "run/a.csv": PlayedFile(5, 5, "staged"),
            "run/raw.nxs": PlayedFile(4 * MB, MB),
            "more/large.nxs": PlayedFile(900 * MB),
        }
        title = "Results <b>of</b> ada"
        super().__init__([PlayedDataset("results", title, "write", files, needed=10, moved=2048, requests=3)])

    def _names(self, path: str) -> list[dict[str, Any]]:
        if path == "archive/down":
            raise Unavailable("The archive does not answer.", next_step="Try again.")
        return super()._names(path)


class StandInMachines:
    """One allocation, which matches ALC_MACHINE of the fixture."""

    async def allocations(self) -> list[dict[str, Any]]:
        return [{"id": "allocation-1", "state": "ready", "machine_type": "small", "lease_until": None, "stages": []}]

    async def release(self, allocation: str) -> dict[str, Any]:
        return {"id": allocation, "state": "releasing"}

    async def close(self) -> None:
        pass


def parts() -> Parts:
    """What the server under test asks."""
    return Parts(data=StandInData(), machines=StandInMachines(), clusters=StandInClusters())
