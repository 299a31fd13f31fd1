"""The shipped Hub configuration and our spawner, in a real JupyterHub behind its real proxy."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import stat
from pathlib import Path

import pytest

from tests.integration.hub.conftest import words

pytestmark = [pytest.mark.hub, pytest.mark.timeout(300)]


async def stop(person, server: str = "server") -> None:
    status, said = await person.api("DELETE", f"/users/{person.name}/{server}")
    assert status in {202, 204}, said
    await person.until_gone("" if server == "server" else server.split("/")[1])


async def test_each_password_opens_one_door_only(visitor, passwords):
    assert await visitor("ada").log_in(passwords["ada"])
    assert await visitor("brahe").log_in(passwords["brahe"])
    assert not await visitor("ada").log_in(passwords["brahe"])
    assert not await visitor("ada").log_in("wrong")
    assert not await visitor("nobody").log_in(passwords["ada"])


async def test_nobody_can_sign_up(visitor):
    status, _ = await visitor("eve").get("/hub/signup")
    assert status == 404


async def test_passwords_are_kept_only_as_hashes_and_files_are_private(hub, passwords):
    with sqlite3.connect(hub.state / "hub/hub.sqlite") as db:
        rows = db.execute("select username, password from users_info").fetchall()
    db.close()
    assert {name for name, _ in rows} == {"ada", "brahe"}
    assert all(bytes(value).startswith(b"$2b$") for _, value in rows)
    for path in (hub.state / "hub").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    assert stat.S_IMODE((hub.state / "vmm/hub-secret").stat().st_mode) == 0o600
    for password in passwords.values():
        assert password not in (hub.folder / "hub.log").read_text()


async def test_the_form_offers_data_and_machines_and_nothing_of_others(ada):
    status, page = await ada.get("/hub/spawn")
    assert status == 200
    assert "SANS &lt;b&gt;examples&lt;/b&gt;" in page
    assert "<b>examples</b>" not in page
    for said in ("My results", "37 MB", "General", "3 ready now", "read and write"):
        assert said in words(page)
    assert "brahes-own" not in page


async def test_the_hubs_own_pages_say_that_no_machine_runs(ada):
    status, page = await ada.get("/hub/home")
    assert status == 200
    assert "None is running" in words(page)
    assert "Start a machine" in words(page)
    status, page = await ada.get("/user/ada/lab")
    assert status == 424
    assert "Your machine is not running" in words(page)


async def test_a_start_tells_its_stages_and_leads_to_the_persons_own_server(hub, ada):
    status, _ = await ada.submit(machine_type="small", datasets=["sans-examples", "results"])
    assert status == 302
    _, page = await ada.get("/hub/spawn-pending/ada")
    assert "Starting General" in words(page)
    events = await ada.events()
    staged = [event for event in events if "stages" in event]
    assert [one["name"] for one in staged[-1]["stages"]] == ["claimed", "account", "mount", "proof", "server"]
    assert any(one["seconds"] == 0.3 and one["usual_seconds"] == 0.4 for one in staged[-1]["stages"])
    assert [event["progress"] for event in events] == sorted(event["progress"] for event in events)
    assert events[-1]["ready"]
    status, page = await ada.get("/user/ada/lab")
    assert status == 200, page

    (row,) = hub.rows()
    asked = hub.asked(row)
    assert [one["id"] for one in asked["data"]["datasets"]] == ["sans-examples", "results"]
    assert asked["data"]["datasets"][1]["url"].endswith("/results/ada")
    environment = asked["server_start"]["environment"]
    assert environment["JUPYTERHUB_API_URL"] == f"http://127.0.0.1:{hub.ports[2]}/hub/api"
    assert not {"PATH", "PYTHONPATH", "HOME", "ALC_STATE"} & set(environment)


async def test_another_person_cannot_use_that_server(visitor, passwords):
    brahe = visitor("brahe")
    assert await brahe.log_in(passwords["brahe"])
    status, _ = await brahe.get("/user/ada/api/contents")
    assert status in {403, 404}


async def test_the_token_in_a_machine_reaches_its_own_server_and_vmm_and_no_more(hub, ada):
    (row,) = hub.rows()
    token = hub.asked(row)["server_start"]["environment"]["JUPYTERHUB_API_TOKEN"]
    headers = {"Authorization": f"token {token}"}
    async with ada.session.get(f"{hub.address}/hub/api/user", headers=headers) as answer:
        scopes = set((await answer.json())["scopes"])
    assert "access:services!service=vmm" in scopes
    assert "delete:servers!server=ada/" in scopes
    assert not [one for one in scopes if "tokens" in one or "start:servers" in one or one.startswith("servers")], scopes
    async with ada.session.post(f"{hub.address}/hub/api/users/ada/servers/b", headers=headers) as answer:
        assert answer.status in {403, 404}


async def test_a_killed_hub_finds_a_running_server_again(hub, ada):
    (before,) = hub.rows()
    hub.kill()
    hub.start()
    await hub.wait()
    await ada.until_ready()
    status, _ = await ada.get("/user/ada/lab")
    assert status == 200
    (after,) = hub.rows()
    assert (after["pid"], after["state"]) == (before["pid"], "ready")


async def test_the_hubs_own_page_says_that_a_machine_runs_and_stops_it(ada):
    _, page = await ada.get("/hub/home")
    assert "is running" in words(page)
    assert 'data-url="/hub/api/users/ada/server"' in page


async def test_stopping_gives_the_machine_back(hub, ada):
    await stop(ada)
    (row,) = hub.rows()
    assert row["state"] == "released"
    status = Path(f"/proc/{row['pid']}/stat")
    assert not status.exists() or status.read_text().split()[2] == "Z"


async def test_a_server_that_ended_while_the_hub_was_away_is_not_taken_for_running(hub, ada):
    await ada.submit(machine_type="small")
    await ada.until_ready()
    (row,) = [row for row in hub.rows() if row["state"] == "ready"]
    hub.kill()
    os.killpg(row["pid"], signal.SIGKILL)
    hub.start()
    await hub.wait()
    await ada.until_gone()
    status, page = await ada.get("/hub/spawn")
    assert status == 200
    assert "Start a machine" in page


async def test_a_hub_killed_during_a_start_adopts_the_machine(hub, ada):
    known = {row["id"] for row in hub.rows()}
    status, _ = await ada.submit(machine_type="small")
    assert status == 302
    hub.kill()
    hub.start()
    await hub.wait()
    await ada.until_ready()
    (row,) = [row for row in hub.rows() if row["id"] not in known]
    assert row["state"] == "ready"
    status, _ = await ada.get("/user/ada/lab")
    assert status == 200
    await stop(ada)


async def test_a_server_that_dies_is_noticed_and_given_back(hub, ada):
    await ada.submit(machine_type="small")
    await ada.until_ready()
    (row,) = [row for row in hub.rows() if row["state"] == "ready"]
    os.killpg(row["pid"], signal.SIGKILL)
    await ada.until_gone()
    for _ in range(1000):
        if next(one for one in hub.rows() if one["id"] == row["id"])["state"] == "released":
            return
        await asyncio.sleep(0.1)
    raise AssertionError("not released")


async def test_a_start_that_is_cancelled_gives_the_machine_back(hub, ada):
    known = {row["id"] for row in hub.rows()}
    await ada.submit(machine_type="small")
    await stop(ada)
    left = [row for row in hub.rows() if row["id"] not in known]
    for _ in range(1000):
        left = [row for row in hub.rows() if row["id"] not in known]
        if all(row["state"] == "released" for row in left):
            break
        await asyncio.sleep(0.1)
    assert [row["state"] for row in left] in ([], ["released"])


async def test_a_named_server_starts_and_its_page_stops_that_one(hub, ada):
    status, _ = await ada.submit("/hub/spawn/ada/second", machine_type="small")
    assert status == 302
    _, page = await ada.get("/hub/spawn-pending/ada/second")
    assert "/hub/api/users/ada/servers/second" in page
    events = await ada.events("servers/second")
    assert events[-1]["ready"]
    await stop(ada, "servers/second")


async def test_wrong_options_come_back_in_the_form_with_every_reason(ada):
    status, page = await ada.submit(machine_type="gpu", datasets=["brahes-own", "results"])
    assert status == 400
    said = words(page)
    assert "There is no machine type “gpu” for you. Choose small, large, full, broken." in said
    assert "There is no dataset “brahes-own” for you. Choose from sans-examples, results." in said
    assert 'value="results" checked' in " ".join(page.replace("\n", " ").split()) or "checked" in page


@pytest.mark.parametrize(
    "options",
    [
        {"machine_type": "gpu"},
        {"datasets": ["brahes-own"]},
        {"datasets": "results"},
        {"image": "x"},
        {"machine_type": {"id": "small"}},
    ],
)
async def test_wrong_options_posted_straight_to_the_hub_are_a_400_with_the_next_step(ada, options):
    await ada.get("/hub/home")
    status, said = await ada.api("POST", "/users/ada/server", json=options)
    assert status == 400
    assert "Choose" in said["message"] or "Write" in said["message"] or "options are" in said["message"]


async def test_a_full_type_is_refused_with_vmms_words(ada):
    status, page = await ada.submit(machine_type="full")
    assert status == 409
    assert "All machines are in use. Try another type." in words(page)


async def test_a_start_that_fails_says_why_on_the_page_and_in_the_events(hub, ada):
    status, _ = await ada.submit(machine_type="broken")
    assert status in {302, 503}
    events = await ada.events()
    assert events[-1]["failed"]
    assert "The archive is silent. Start without its data." in events[-1]["message"]
    _, page = await ada.get("/hub/spawn-pending/ada")
    assert "The archive is silent. Start without its data." in words(page)
    assert all(row["state"] == "released" for row in hub.rows())


async def test_an_empty_choice_straight_to_the_hub_starts_the_first_type(hub, visitor, passwords):
    brahe = visitor("brahe")
    assert await brahe.log_in(passwords["brahe"])
    await brahe.get("/hub/home")
    refused, _ = await brahe.api("POST", "/users/brahe/server", json={"machine_type": "gpu"})
    assert refused == 400, "and what was refused is not remembered"
    status, _ = await brahe.api("POST", "/users/brahe/server", json={})
    assert status in {201, 202}
    await brahe.until_ready()
    (row,) = [row for row in hub.rows() if row["user"] == "brahe"]
    assert row["machine_type"] == "small"
    await stop(brahe)


async def test_a_changed_password_counts_at_once(visitor, passwords):
    brahe = visitor("brahe")
    assert await brahe.log_in(passwords["brahe"])
    new = "a-long-new-password"
    fields = {"old_password": passwords["brahe"], "new_password": new, "new_password_confirmation": new}
    await brahe.get("/hub/change-password")
    form = {**fields, "_xsrf": brahe.xsrf()}
    async with brahe.session.post(f"{brahe.address}/hub/change-password", data=form) as answer:
        assert answer.status == 200
    assert await visitor("brahe").log_in(new)
    assert not await visitor("brahe").log_in(passwords["brahe"])
