"""A machine's life as VMM sees it: enrol, ready, claim, drain; with a real Jupyter server at the end of it."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest
from machine_world import ADA, ADA_DMS, Host, Vmm, claim_order

pytestmark = [pytest.mark.integration, pytest.mark.root]


async def _claimed(host: Host, vmm: Vmm, key: str, **changed: Any) -> dict[str, Any]:
    machine = host.make(key, user_data=vmm.user_data(key))
    await vmm.wait_for("ready", allocation=None)
    home = host.ask("attach", key=key, volume="home", person="ada", uid=ADA, at="/home/ada")["path"]
    dms = host.ask("attach", key=key, volume="dms", person="ada", uid=ADA_DMS, at="/var/lib/alc-dms")["path"]
    await vmm.give(**claim_order(vmm.url, home, dms, ids=(ADA, ADA_DMS), **changed))
    return machine


async def test_a_claimed_machine_answers_at_its_own_address(host: Host, vmm: Vmm) -> None:
    machine = await _claimed(host, vmm, "machine-a")
    try:
        ready = await vmm.wait_for("ready", allocation="allocation-1")
    finally:
        print(host.log("machine-a"))
        print(host.run_in(machine, "cat /home/ada/.local/state/jupyter-alc/server.log; ps aux"))
    print(vmm.reports)
    async with aiohttp.ClientSession() as session, session.get(f"{ready['url']}/user/ada/api") as answer:
        assert answer.status == 200
    assert [one["stage"]["name"] for one in vmm.reports if one.get("stage")] == [
        "claimed", "account", "mount", "proof", "server",
    ]  # fmt: skip
    await vmm.give(kind="release", allocation="allocation-1", fence=1, flush_deadline_seconds=5)
    drained = await vmm.wait_for("drained")
    assert drained["unsent"] == []
