"""Claims, orders, stages, release, over real HTTP against the simulated cloud."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from tests.integration.vmm.conftest import until

if TYPE_CHECKING:
    from tests.integration.vmm.conftest import House

pytestmark = pytest.mark.integration


async def test_a_claim_becomes_a_server_and_a_release_ends_the_machine(house: House) -> None:
    hub = await house.start()
    assert house.vmm is not None
    await until(lambda: len(house.cloud.keys) == 2)

    async def ready() -> bool:
        types = await hub.machine_types("ada")
        return all(one["offer"]["state"] == "ready" for one in types)

    await until(ready)
    types = await hub.machine_types("ada")
    assert [(one["id"], one["offer"]["words"]) for one in types] == [("small", "1 ready now"), ("large", "1 ready now")]
    made = await hub.claim(
        user="ada",
        server="",
        spawn=1,
        machine_type="small",
        datasets=[{"id": "sans", "title": "SANS", "adapter": "webdav", "url": "http://x/", "access": "read"}],
        environment={"JUPYTERHUB_API_TOKEN": "hush"},
    )
    assert made["state"] == "claimed"

    async def at(state: str) -> bool:
        return (await hub.allocation(made["id"]))["state"] == state

    await until(lambda: at("ready"))
    told = await hub.allocation(made["id"])
    assert told["url"] == "http://127.0.0.1:1/"
    assert [one["name"] for one in told["stages"]] == ["claimed", "account", "mount", "proof", "server"]
    assert {one["state"] for one in told["stages"]} == {"done"}
    order = house.agents[told["machine"]].orders[0]
    assert order["person"]["uid"] == 53000
    assert order["server"]["environment"]["JUPYTERHUB_API_TOKEN"] == "hush"
    assert order["home"] == "/home/ada"
    assert {(v, p, u) for _, v, p, u, _ in house.cloud.attached} == {("home", "ada", 53000), ("dms", "ada", 53001)}
    await hub.release(made["id"])
    await until(lambda: at("released"))
    await until(lambda: told["machine"] not in house.cloud.keys)
    await asyncio.sleep(0)
