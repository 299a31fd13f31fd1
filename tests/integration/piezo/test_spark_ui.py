"""The Spark UI below a user's address, through a small proxy that keeps to our pure rules."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urljoin, urlsplit

import aiohttp
import pytest
from aiohttp import web

from jupyter_alc.piezo.ui import SCRIPTS, needs_rewriting, rewritten
from jupyter_alc.server.ui_rules import location_told, sent_headers, told_headers

pytestmark = [pytest.mark.integration, pytest.mark.spark, pytest.mark.timeout(300)]

PAGES = ("jobs/", "stages/", "executors/", "SQL/", "environment/", "connect/")
ASSET = re.compile(r"""(?:src|href)=["']([^"'#]+)["']""")

Told = dict[str, tuple[int, str]]
Visit = Callable[[aiohttp.ClientSession, str], Awaitable[Told]]


async def through_a_proxy(
    ui_url: str, prefix: str, visit: Callable[[aiohttp.ClientSession, str], Awaitable[Told]]
) -> Told:
    """Serve the UI at `ui_url` below `prefix` on a port of its own, and let `visit` look at it."""

    async def passed_on(request: web.Request) -> web.Response:
        page = request.rel_url.raw_path.removeprefix(prefix)
        query = f"?{request.query_string}" if request.query_string else ""
        headers = sent_headers(request.headers, prefix)
        async with there.get(f"{ui_url}{page}{query}", headers=headers, allow_redirects=False) as answer:
            body = await answer.read()
            told = told_headers(answer.headers)
            if location := answer.headers.get("Location"):
                told["Location"] = str(location_told(location, ui_url, prefix))
            if needs_rewriting(page):
                body = rewritten(body)
            return web.Response(status=answer.status, headers=told, body=body)

    application = web.Application()
    application.router.add_get("/{anything:.*}", passed_on)
    runner = web.AppRunner(application, access_log=None)
    async with aiohttp.ClientSession() as there, aiohttp.ClientSession() as browser:
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            host, port = runner.addresses[0][:2]
            return await visit(browser, f"http://{host}:{port}{prefix}")
        finally:
            await runner.cleanup()


async def everything(browser: aiohttp.ClientSession, base: str) -> Told:
    """Fetch the front page, six pages, all they refer to, and the REST answers their scripts ask for."""
    seen: Told = {}

    async def get(address: str) -> str:
        if address not in seen:
            async with browser.get(address) as answer:
                seen[address] = (answer.status, (await answer.read()).decode(errors="replace"))
                seen[str(answer.url)] = seen[address]
        return seen[address][1]

    for page in ("", *PAGES):
        address = f"{base}/{page}"
        for found in ASSET.findall(await get(address)):
            led = urljoin(address, found.replace("&amp;", "&"))
            if urlsplit(led).netloc == urlsplit(base).netloc:
                await get(led)
    applications = json.loads(await get(f"{base}/api/v1/applications"))
    rest = f"{base}/api/v1/applications/{applications[0]['id']}"
    for what in ("allexecutors", "environment", "allmiscellaneousprocess", "jobs"):
        await get(f"{rest}/{what}")
    await get(f"{base}/static/executorspage-template.html")
    return seen


@pytest.mark.parametrize("user", ["ada", "proxy", "history"])
def test_every_page_and_all_it_refers_to_loads_below_a_users_address(
    connection: dict[str, str], cluster: Any, spark: Any, user: str
):
    spark.range(10).count()
    prefix = f"/user/{user}/jupyter-alc/v1/piezo/clusters/{cluster.id}/ui"
    seen = asyncio.run(through_a_proxy(connection["ui_url"], prefix, everything))
    assert {address: status for address, (status, _) in seen.items() if status >= 400} == {}
    assert [address for address in seen if not urlsplit(address).path.startswith(prefix)] == []
    assert len(seen) > 30
    paths = {urlsplit(address).path: text for address, (_, text) in seen.items()}
    scripts = {path.rpartition("/")[2]: text for path, text in paths.items() if needs_rewriting(path)}
    assert "utils.js" in scripts
    assert scripts.keys() <= SCRIPTS
    for name, text in scripts.items():
        assert not re.search(r"""indexOf\(["'](proxy|history)""", text), name
        assert 'indexOf("/")' in text, name


def test_nothing_can_be_killed_from_the_ui(connection: dict[str, str], spark: Any):
    async def ask() -> list[str]:
        async with aiohttp.ClientSession() as browser:
            return [await (await browser.get(f"{connection['ui_url']}/{page}")).text() for page in ("jobs/", "stages/")]

    assert not [page for page in asyncio.run(ask()) if "/kill/" in page]
