"""New session keys on their way to a machine (W19): by heartbeat, to that claim's machine alone, never to the disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from jupyter_alc.core.errors import NotFound
from tests.integration.vmm.test_a_life import DATASET, all_warm, claim, comes_to

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.vmm.conftest import House

pytestmark = pytest.mark.integration
KEYS = {"sans": {"access_key": "a", "secret_key": "hush-hush", "session_token": "t", "expires": "2030-01-01T00:00:00Z"}}


async def test_keys_come_with_each_heartbeat_until_the_machine_says_that_it_has_them(house: House) -> None:
    hub = await house.start()
    await all_warm(hub)
    made = await claim(hub, datasets=[DATASET])
    told = await comes_to(hub, made["id"], "ready")
    agent, beat = house.agents[told["machine"]], {"allocation": made["id"], "fence": 1}
    assert await agent.report("heartbeat", **beat) == (200, {})
    await hub.renew(made["id"], {"sans": {"access_key": "older"}})
    await hub.renew(made["id"], KEYS)
    _, answer = await agent.report("heartbeat", **beat, renewed=0)
    assert answer["renewal"]["datasets"] == KEYS
    assert await agent.report("heartbeat", **beat) == (200, answer)  # an answer that was lost comes again
    other = next(one for key, one in house.agents.items() if key != told["machine"])
    assert await other.report("heartbeat") == (200, {})
    assert await agent.report("heartbeat", **beat, renewed=answer["renewal"]["number"]) == (200, {})
    assert await agent.report("heartbeat", **beat) == (200, {})


async def test_keys_are_kept_in_memory_only_and_for_claims_that_are_there(house: House, tmp_path: Path) -> None:
    hub = await house.start()
    await all_warm(hub)
    made = await claim(hub, datasets=[DATASET])
    await comes_to(hub, made["id"], "ready")
    await hub.renew(made["id"], KEYS)
    files = [one for one in tmp_path.rglob("*") if one.is_file()]
    assert files
    assert not [one for one in files if b"hush-hush" in one.read_bytes()]
    with pytest.raises(NotFound):
        await hub.renew("nobody", KEYS)
