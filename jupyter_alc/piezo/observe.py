"""Asking the master and the Spark UI of our own cluster, over loopback. "Could not ask" is None, never zero."""

from __future__ import annotations

from typing import Any, Final

import aiohttp

_PATIENCE: Final = aiohttp.ClientTimeout(total=5)


async def alive_workers(master_ui: int) -> int | None:
    """How many workers the master counts."""
    told = await _ask(f"http://127.0.0.1:{master_ui}/json/")
    return int(told["aliveworkers"]) if isinstance(told, dict) and "aliveworkers" in told else None


async def executors(ui: int) -> int | None:
    """How many executors the driver counts as active."""
    told = await _ask_application(ui, "executors")
    return None if told is None else sum(1 for each in told if each.get("isActive") and each.get("id") != "driver")


async def running_jobs(ui: int) -> int | None:
    """How many jobs run."""
    told = await _ask_application(ui, "jobs?status=running")
    return None if told is None else len(told)


async def _ask_application(ui: int, what: str) -> list[dict[str, Any]] | None:
    base = f"http://127.0.0.1:{ui}/api/v1/applications"
    known = await _ask(base)
    if not isinstance(known, list) or not known:
        return None
    told = await _ask(f"{base}/{known[0]['id']}/{what}")
    return told if isinstance(told, list) else None


async def _ask(url: str) -> Any:
    try:
        async with aiohttp.ClientSession(timeout=_PATIENCE) as session, session.get(url) as answer:
            return await answer.json(content_type=None) if answer.status == 200 else None
    except (TimeoutError, aiohttp.ClientError, ValueError, OSError):
        return None
