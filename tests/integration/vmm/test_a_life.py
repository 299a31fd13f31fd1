"""Claims, orders, stages, release, over real HTTP against the simulated cloud."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from jupyter_alc.core.errors import Conflict, NotFound, PoolExhausted
from tests.integration.vmm.conftest import House, until

if TYPE_CHECKING:
    from jupyter_alc.vmm.client import HubClient
    from tests.integration.vmm.conftest import Agent

pytestmark = pytest.mark.integration

DATASET = {"id": "sans", "title": "SANS", "adapter": "webdav", "url": "http://x/", "access": "read"}


async def claim(hub: HubClient, user: str = "ada", spawn: int = 1, **more: Any) -> dict[str, Any]:
    environment = {"JUPYTERHUB_API_TOKEN": "hush"}
    asked = {"user": user, "server": "", "spawn": spawn, "machine_type": "small", "environment": environment, **more}
    return await hub.claim(**asked)


async def comes_to(hub: HubClient, ident: str, state: str) -> dict[str, Any]:
    async def there() -> dict[str, Any] | None:
        told = await hub.allocation(ident)
        return told if told["state"] == state else None

    found: dict[str, Any] = await until(there)
    return found


async def all_warm(hub: HubClient) -> None:
    async def warm() -> bool:
        return all(one["offer"]["state"] == "ready" for one in await hub.machine_types("ada"))

    await until(warm)


async def test_a_claim_becomes_a_server_and_a_release_ends_the_machine(house: House) -> None:
    hub = await house.start()
    await all_warm(hub)
    types = await hub.machine_types("ada")
    assert [(one["id"], one["offer"]["words"]) for one in types] == [("small", "1 ready now"), ("large", "1 ready now")]
    made = await claim(hub, datasets=[DATASET])
    assert made["state"] == "claimed"
    told = await comes_to(hub, made["id"], "ready")
    assert told["url"] == "http://127.0.0.1:1/"
    assert [one["name"] for one in told["stages"]] == ["claimed", "account", "mount", "proof", "server"]
    assert {one["state"] for one in told["stages"]} == {"done"}
    order = house.agents[told["machine"]].orders[0]
    assert order["person"]["uid"] == 53000
    assert order["server"]["environment"]["JUPYTERHUB_API_TOKEN"] == "hush"
    assert [one["id"] for one in order["data"]["datasets"]] == ["sans"]
    assert (order["home"], order["fence"]) == ("/home/ada", 1)
    await hub.release(made["id"])
    await comes_to(hub, made["id"], "released")
    await until(lambda: told["machine"] not in house.cloud.keys)
    await all_warm(hub)


async def test_the_same_claim_again_is_the_same_and_another_server_is_refused(house: House) -> None:
    hub = await house.start()
    first = await claim(hub)
    assert (await claim(hub))["id"] == first["id"]
    with pytest.raises(Conflict, match="You have a machine already, for your default server, and") as told:
        await claim(hub, server="second", spawn=2)
    assert told.value.next_step == "Stop that server first, then start this one."
    assert [one["id"] for one in await hub.allocations("ada", "")] == [first["id"]]


async def test_claims_wait_for_machines_that_are_made_and_beyond_the_cap_are_refused(house: House) -> None:
    house.silent = True  # no machine is ready before both have asked
    hub = await house.start()
    for number in range(2):
        await claim(hub, f"user{number}")
    with pytest.raises(PoolExhausted):
        await claim(hub, "late")
    house.speak()
    for number in range(2):
        (told,) = await hub.allocations(f"user{number}")
        told = await comes_to(hub, told["id"], "ready")
        assert told["stages"][0]["name"] == "waiting for a machine"
    small = (await hub.machine_types("late"))[0]
    assert small["offer"]["words"] == "all 2 in use"


async def test_a_stage_that_fails_is_told_with_its_reason_and_the_machine_goes(house: House) -> None:
    def broken(agent: Agent) -> None:
        agent.fail_stage = "mount"

    house.on_agent = broken
    hub = await house.start()
    made = await claim(hub)
    told = await comes_to(hub, made["id"], "failed")
    assert told["problem"] == {"code": "archive_unreachable", "message": "The archive is down.", "next_step": "Wait."}
    assert {one["name"]: one["state"] for one in told["stages"]}["mount"] == "failed"
    await until(lambda: told["machine"] not in house.cloud.keys)


async def test_unsent_results_keep_the_machine_until_they_are_sent(house: House) -> None:
    hub = await house.start()
    made = await claim(hub)
    told = await comes_to(hub, made["id"], "ready")
    agent = house.agents[told["machine"]]
    agent.unsent = [[{"path": "results/a"}], [{"path": "results/a"}]]
    await hub.release(made["id"])
    await comes_to(hub, made["id"], "released")
    assert [one["kind"] for one in agent.orders] == ["claim", "release", "release", "release"]


async def test_a_vmm_that_comes_back_adopts_machines_and_allocations(house: House) -> None:
    hub = await house.start()
    await all_warm(hub)
    made = await claim(hub)
    told = await comes_to(hub, made["id"], "ready")
    before = house.cloud.keys
    for task in house.tasks.values():
        task.cancel()
    await house.stop()
    hub = await house.start()
    assert (await hub.allocation(made["id"]))["machine"] == told["machine"]
    await asyncio.sleep(1)
    assert before <= house.cloud.keys
    assert (await hub.allocation(made["id"]))["state"] == "ready"


async def test_a_machine_that_dies_is_told_to_its_person_and_the_next_start_works(house: House) -> None:
    hub = await house.start()
    made = await claim(hub)
    told = await comes_to(hub, made["id"], "ready")
    house.tasks[told["machine"]].cancel()
    house.cloud.kill(told["machine"])
    told = await comes_to(hub, made["id"], "failed")
    assert told["problem"]["next_step"].startswith("Start your server again")
    again = await claim(hub, spawn=2)
    await comes_to(hub, again["id"], "ready")


async def test_a_slow_list_does_not_slow_a_claim(house: House) -> None:
    hub = await house.start()
    await all_warm(hub)
    house.cloud.faults.delay_seconds["machines"] = 8
    made = await claim(hub)
    await asyncio.wait_for(comes_to(hub, made["id"], "ready"), 7)
    house.cloud.faults.delay_seconds.clear()


async def test_closing_ends_everything_and_says_what_stays_unsent(house: House) -> None:
    hub = await house.start()
    await all_warm(hub)
    made = await claim(hub)
    told = await comes_to(hub, made["id"], "ready")
    house.agents[told["machine"]].unsent = [[{"path": "results/rg.csv", "state": "waiting"}]]
    left: dict[str, int] = {}

    async def nothing_left() -> bool:
        left.update(await hub.shut())
        return left["machines"] == 0

    await until(nothing_left)
    assert left == {"machines": 0, "allocations": 0, "unsent": 1}
    assert not house.cloud.keys
    assert (await hub.allocation(made["id"]))["state"] == "released"
    with pytest.raises(NotFound):
        await hub.allocation("alloc-unknown")
