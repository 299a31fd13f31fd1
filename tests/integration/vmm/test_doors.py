"""Who may ask what: every route without a proof, with a wrong one, with another's; and what nonsense gets."""

from __future__ import annotations

import asyncio
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
import yaml

from jupyter_alc.core.errors import Denied, NotFound, Unavailable
from jupyter_alc.vmm.service.routes import ROUTES
from tests.integration.vmm.conftest import House, until

if TYPE_CHECKING:
    from tests.integration.vmm.conftest import Agent

pytestmark = pytest.mark.integration

OPENAPI = Path(__file__).parents[3] / "jupyter_alc/vmm/openapi.yaml"


async def ask(url: str, method: str = "GET", proof: str = "", **more: Any) -> tuple[int, dict[str, Any]]:
    headers = {"Authorization": proof} if proof else {}
    async with aiohttp.ClientSession() as session, session.request(method, url, headers=headers, **more) as answer:
        assert answer.headers["Content-Type"].startswith("application/json")
        told = await answer.json()
        if answer.status >= 400:
            assert set(told) - {"field"} == {"code", "message", "next_step"}
        return answer.status, told


def operations() -> list[tuple[str, str, dict[str, Any]]]:
    described = yaml.safe_load(OPENAPI.read_text(encoding="utf-8"))
    return [
        (path, method, what)
        for path, item in described["paths"].items()
        for method, what in item.items()
        if method in {"get", "post", "delete"}
    ]


def test_the_description_names_every_route_and_no_other() -> None:
    served = {
        (path.replace("([^/]{1,64})", "{id}"), method)
        for path, handler in ROUTES
        for method in ("get", "post", "delete")
        if method in handler.__dict__
    }
    assert {(path, method) for path, method, _ in operations()} == served


async def test_every_route_refuses_who_proves_nothing_or_the_wrong_thing(house: House) -> None:
    await house.start()
    assert house.vmm is not None
    proofs = ["", "hub wrong", "token nobodys", "machine machine-x wrong", "token narrow-token", "token service-token"]
    for path, method, what in operations():
        if not what["security"]:
            continue
        url = house.vmm.url + path.replace("{id}", "alloc-x")
        for proof in [*proofs, "Basic x", "hub", "token x y"]:
            status, told = await ask(url, method, proof)
            assert (status, told["code"]) == (403, "denied"), (method, path, proof)


async def test_anothers_allocation_and_an_unknown_one_are_the_same_404(house: House) -> None:
    hub = await house.start()
    made = await hub.claim(user="ada", server="", spawn=1, machine_type="small")
    ada, brahe = house.person("ada-token"), house.person("brahe-token")
    assert [one["id"] for one in await ada.allocations()] == [made["id"]]
    assert (await ada.allocation(made["id"]))["user"] == "ada"
    assert await brahe.allocations() == []
    told = []
    for ident in (made["id"], "alloc-unknown"):
        for call in (brahe.allocation, brahe.release):
            with pytest.raises(NotFound) as caught:
                await call(ident)
            told.append(str(caught.value))
    assert len(set(told)) == 1
    assert (await hub.allocation(made["id"]))["state"] != "releasing"
    await ada.release(made["id"])


async def test_a_hub_that_does_not_answer_is_told_apart_from_a_wrong_token(house: House) -> None:
    house.hub_api = "http://127.0.0.1:1/hub/api"
    await house.start()
    with pytest.raises(Unavailable, match="Hub"):
        await house.person("ada-token").allocations()


async def test_an_enrolment_token_works_once(house: House) -> None:
    house.silent = True
    await house.start()
    await until(lambda: house.agents)
    agent: Agent = next(iter(house.agents.values()))
    assert (await agent.enrol())[0] == 200
    secret = agent.secret
    status, told = await agent.enrol()
    assert (status, told["code"]) == (403, "denied")
    assert secret not in json.dumps(told)
    assert (await agent.call("POST", "/v1/agent/enrol", {"key": agent.key, "token": "guess"}))[0] == 403
    await until(lambda: agent.key not in house.cloud.keys)


async def test_an_agent_cannot_speak_for_another_machine(house: House) -> None:
    hub = await house.start()
    made = await hub.claim(user="ada", server="", spawn=1, machine_type="small")
    await until(lambda: len([one for one in house.agents.values() if one.secret]) >= 2)

    async def placed() -> Any:
        return (await hub.allocation(made["id"]))["machine"]

    machine = await until(placed)
    other = next(one for key, one in house.agents.items() if key != machine and one.secret)
    status, told = await other.report("failed", allocation=made["id"], fence=1)
    assert (status, told["code"]) == (409, "conflict")
    proof = f"machine {machine} {other.secret}"
    assert house.vmm is not None
    assert (await ask(house.vmm.url + "/v1/agent/orders", proof=proof))[0] == 403


async def test_two_agents_calls_wait_and_are_woken_by_the_claim(house: House) -> None:
    hub = await house.start()
    await until(lambda: any(one.secret for one in house.agents.values()))
    loop = asyncio.get_running_loop()
    agent = next(one for one in house.agents.values() if one.secret)
    before = loop.time()
    status, told = await agent.call("GET", "/v1/agent/orders?after=7")
    assert (status, told["order"]) == (200, None)
    assert loop.time() - before > 1.5
    assert (await hub.health())["ok"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"", "body"),
        (b"[]", "body"),
        (b"\xff", "body"),
        (b'{"user": NaN}', "body"),
        (b"[" * 5000, "body"),
        (b'{"server": "", "spawn": 1, "machine_type": "small"}', "user"),
        (b'{"user": 1, "server": "", "spawn": 1, "machine_type": "small"}', "user"),
        (b'{"user": "a\\u0000", "server": "", "spawn": 1, "machine_type": "small"}', "user"),
        (b'{"user": "ada", "server": "", "spawn": true, "machine_type": "small"}', "spawn"),
        (b'{"user": "ada", "server": "", "spawn": 1, "machine_type": "small", "uid": 0}', "uid"),
        (b'{"user": "ada", "server": "", "spawn": 1, "machine_type": "huge"}', "machine_type"),
        (b'{"user":"a","server":"","spawn":1,"machine_type":"small","data":{"datasets":[{}]}}', "data.datasets[0].id"),
        (
            b'{"user":"a","server":"","spawn":1,"machine_type":"small","server_start":{"environment":{"A":1}}}',
            "server_start.environment.A",
        ),
    ],
)
async def test_a_wrong_claim_is_answered_with_the_field(house: House, body: bytes, field: str) -> None:
    await house.start()
    assert house.vmm is not None
    status, told = await ask(house.vmm.url + "/v1/allocations", "POST", "hub the-secret", data=body)
    assert (status, told.get("field")) == (422, field)


async def test_a_large_body_is_refused(house: House) -> None:
    await house.start()
    assert house.vmm is not None
    async with aiohttp.ClientSession() as session:
        try:
            async with session.post(
                house.vmm.url + "/v1/allocations",
                data=io.BytesIO(b"x" * (2 << 20)),
                headers={"Authorization": "hub the-secret"},
            ) as answer:
                assert answer.status in {400, 413}
        except aiohttp.ClientError:
            pass  # the connection was cut before the answer


async def test_secrets_are_in_no_answer_and_no_log(house: House, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    hub = await house.start()
    made = await hub.claim(
        user="ada", server="", spawn=1, machine_type="small", environment={"JUPYTERHUB_API_TOKEN": "hush-hush"}
    )

    async def ready() -> bool:
        return (await hub.allocation(made["id"]))["state"] == "ready"

    await until(ready)
    said = json.dumps([await hub.allocation(made["id"]), await hub.allocations("ada"), await hub.machines()])
    secrets = ["hush-hush", "the-secret", *(one.secret for one in house.agents.values())]
    secrets += [one.token for one in house.agents.values()]
    assert not [one for one in secrets if one and one in said + caplog.text]
    with pytest.raises(Denied):
        await house.person("narrow-token").allocations()
