"""The Spark UI in a real browser under a real Hub, for the user whose name Spark's scripts trip over."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from playwright.async_api import async_playwright

from tests.integration.server.conftest import jupyter_environment
from tests.integration.server.test_hub import Hub, People
from tests.integration.server.test_spark import leave_nothing, remove_sockets, short_folder

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.async_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.spark, pytest.mark.hub, pytest.mark.timeout(400)]

USER = "proxy"
PAGES = {
    "jobs/": "Completed Jobs",
    "jobs/job/?id=0": "Details for Job 0",
    "stages/": "Completed Stages",
    "stages/stage/?id=0&attempt=0": "Summary Metrics",
    "storage/": "Storage",
    "environment/": "Runtime Information 3",
    "executors/": "driver",
    "SQL/": "Total Queries",
    "connect/": "Session Statistics",
}
SMALL = {"name": "seen", "workers": 1, "cores_per_worker": 1, "memory_per_worker": "512m"}


async def ready_cluster(people: People) -> str:
    _, cluster = await people.ask(USER, "piezo/clusters", USER, "POST", SMALL)
    for _ in range(400):
        _, cluster = await people.ask(USER, f"piezo/clusters/{cluster['id']}", USER)
        if cluster["state"] not in {"asked", "starting"}:
            break
        await asyncio.sleep(0.5)
    assert cluster["state"] == "ready", cluster
    return str(cluster["id"])


async def log_in(page: Page, hub: Hub) -> None:
    await page.goto(f"{hub.url}/hub/login")
    await page.fill("#username_input", USER)
    await page.fill("#password_input", "secret")
    await page.click("#login_submit")
    await page.wait_for_url(f"**/user/{USER}/lab**", timeout=60_000)


async def walk(hub: Hub) -> list[tuple[str, Any]]:
    """Open every page; return what went wrong on any."""
    await hub.wait()
    people = People(hub, {USER: await hub.start_server(USER)})
    base = f"{hub.url}/user/{USER}/jupyter-alc/v1/piezo/clusters/{await ready_cluster(people)}/ui"
    wrong: list[tuple[str, Any]] = []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        page = await (await browser.new_context()).new_page()
        await log_in(page, hub)
        page.on("response", lambda told: wrong.append((told.url, told.status)) if told.status >= 400 else None)
        page.on("console", lambda told: wrong.append((page.url, told.text)) if told.type == "error" else None)
        page.on("pageerror", lambda told: wrong.append((page.url, str(told))))
        for path, words in PAGES.items():
            await page.goto(f"{base}/{path}")
            await page.get_by_text(words).first.wait_for(timeout=30_000)
            await page.wait_for_load_state("networkidle")
        await browser.close()
    return wrong


def test_every_page_of_the_spark_ui_loads_without_one_failed_request(tmp_path: Path) -> None:
    runtime = short_folder()
    environment = jupyter_environment(tmp_path, XDG_RUNTIME_DIR=str(runtime))
    for name in ("JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR"):
        del environment[name]
    config = tmp_path / "config" / "jupyter_server_config.py"
    config.write_text('c.ServerApp.jpserver_extensions = {"jupyter_alc": True}\n')
    hub = Hub(tmp_path, environment)
    try:
        assert asyncio.run(walk(hub)) == []
    finally:
        hub.end()
        leave_nothing({**environment, "HOME": str(tmp_path / "homes" / USER)})
        remove_sockets(runtime)
