"""What becomes of an order when something happens that nobody foresaw."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest

from jupyter_alc.vmm.agent.life import Agent

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
