"""The agent's side of VMM's REST: it calls out only, and goes on trying while VMM is away."""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Final

import aiohttp

from jupyter_alc.core.errors import AlcError, Denied, Unavailable, from_json

LOG: Final = logging.getLogger(__name__)
_SHORTEST, _LONGEST = 0.2, 10.0
_POLL_SECONDS: Final = 40.0  # VMM answers after 25 at the latest


class Link:
    """Calls to one VMM. `enrol` first; its answer, the machine's secret, stays in this process."""

    def __init__(self, vmm_url: str, key: str) -> None:
        self._url = f"{vmm_url}/v1/agent"
        self._key = key
        self._headers: dict[str, str] = {}
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_POLL_SECONDS))

    async def close(self) -> None:
        """Hang up."""
        await self._session.close()

    async def enrol(self, token: str) -> None:
        """Trade the one-use token for the machine's secret; `Denied` when it was used or is too old."""
        answer = await self._until_told("POST", "enrol", {"key": self._key, "token": token})
        self._headers = {"Authorization": f"machine {self._key} {answer['machine_secret']}"}

    async def report(self, event: str, **told: Any) -> None:
        """Tell VMM; tries until it is told. Raises what VMM refuses (`Conflict`: not our allocation any more)."""
        await self._until_told("POST", "report", {"event": event, **told})

    async def heartbeat(self, **told: Any) -> dict[str, Any] | None:
        """Tell VMM that we live, once; returns session keys, `{"number", "datasets"}`, if there are new ones.

        Raises AlcError.
        """
        answer = await self._call("POST", "report", {"event": "heartbeat", **told})
        renewal: dict[str, Any] | None = answer.get("renewal")
        return renewal

    async def order_after(self, number: int) -> tuple[int, dict[str, Any] | None]:
        """Wait for an order above `number`; returns the newest number and the order, if there is one."""
        answer = await self._until_told("GET", f"orders?after={number}", None)
        return int(answer["number"]), answer.get("order")

    async def _until_told(self, method: str, path: str, body: dict[str, Any] | None) -> dict[str, Any]:
        pause = _SHORTEST
        while True:
            try:
                return await self._call(method, path, body)
            except Unavailable as error:
                LOG.info("VMM does not answer (%s); next try in %.1f s", error, pause)
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST)

    async def _call(self, method: str, path: str, body: dict[str, Any] | None) -> dict[str, Any]:
        try:
            async with self._session.request(
                method, f"{self._url}/{path}", json=body, headers=self._headers, allow_redirects=False
            ) as response:
                if response.status >= 500 or response.status == 429:
                    raise _away(str(response.status))
                answer: dict[str, Any] = await response.json(content_type=None)
        except (aiohttp.ClientError, TimeoutError, ValueError, OSError) as error:
            raise _away(type(error).__name__) from error
        if response.status >= 300:
            raise _refusal(response.status, answer)
        return answer


def _away(reason: str) -> Unavailable:
    return Unavailable(f"VMM could not be asked: {reason}.", next_step="It is asked again.")


def _refusal(status: int, answer: object) -> AlcError:
    if isinstance(answer, dict) and "code" in answer:
        return from_json(answer)
    return Denied(f"VMM refused with {status}.", next_step="End this machine.")
