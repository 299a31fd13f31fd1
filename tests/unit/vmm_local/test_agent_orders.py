"""What becomes of an order when something happens that nobody foresaw."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast

import pytest

from jupyter_alc.vmm.agent.life import Agent
from jupyter_alc.vmm.service.routes import report_of

if TYPE_CHECKING:
    from jupyter_alc.vmm.agent.orders import Release

pytestmark = pytest.mark.unit


class Listening:
    """A link that notes what it is told."""

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []

    async def report(self, event: str, **told: Any) -> None:
        self.told.append({"event": event, **told})


class Broken(Agent):
    """An agent whose drain breaks."""

    async def _drain(self, order: Release) -> None:
        raise KeyError(order.allocation)


async def test_an_order_that_breaks_is_told_in_our_words() -> None:
    link = Listening()
    agent = Broken(cast("Any", None), cast("Any", link), cast("Any", None))
    await agent._do({"kind": "release", "allocation": "allocation-1", "fence": 3})
    (told,) = link.told
    assert (told["event"], told["allocation"], told["fence"]) == ("failed", "allocation-1", 3)
    assert "KeyError" not in str(told["problem"])
    assert told["problem"]["next_step"]


class Full:
    """Data of which nothing can be sent."""

    async def flush(self, deadline_seconds: float) -> list[dict[str, Any]]:
        problem = {"code": "archive_unreachable", "message": "The archive does not answer.", "next_step": "Wait."}
        return [{"path": f"results/run/{n:05}.csv", "state": "waiting", "problem": problem} for n in range(30_000)]


async def test_however_many_files_are_unsent_vmm_takes_the_report() -> None:
    link = Listening()
    agent = Agent(cast("Any", None), cast("Any", link), cast("Any", None), data=cast("Any", Full()))
    await agent._do({"kind": "release", "allocation": "allocation-1", "fence": 3})
    (told,) = link.told
    assert len(json.dumps(told)) < 1 << 20
    assert report_of(told).unsent == told["unsent"] != []
