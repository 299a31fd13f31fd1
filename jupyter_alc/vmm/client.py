"""Asks VMM, for the spawner (with the Hub's secret) and for a person's own server (with her token). Async."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import aiohttp

from jupyter_alc.core.errors import Unavailable, from_json

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_DOWN = "The machine service does not answer."
_AGAIN = "Try again in a moment; your machine and data are not touched."


class _Client:
    """One session; every call has a deadline and raises only `AlcError`: `Unavailable` when nobody could be asked."""

    def __init__(self, url: str, authorization: str, *, deadline_seconds: float = 20.0) -> None:
        self._url = url.rstrip("/")
        self._headers = {"Authorization": authorization}
        self._deadline = aiohttp.ClientTimeout(total=deadline_seconds)
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Let go of the connection; a later call opens it again."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _ask(
        self, method: str, path: str, *, body: Mapping[str, Any] | None = None, query: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        if self._session is None or self._session.closed:
            self._session = aiohttp.ClientSession(timeout=self._deadline, headers=self._headers)
        try:
            async with self._session.request(method, self._url + path, json=body, params=query) as answer:
                told = await answer.json()
                status = answer.status
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise Unavailable(_DOWN, next_step=_AGAIN) from error
        if not isinstance(told, dict):
            raise Unavailable(_DOWN, next_step=_AGAIN)
        if status >= 400:
            raise from_json(told)
        return told


class HubClient(_Client):
    """What the spawner and `alc up` ask."""

    def __init__(self, url: str, secret: str, *, deadline_seconds: float = 20.0) -> None:
        super().__init__(url, f"hub {secret}", deadline_seconds=deadline_seconds)

    async def claim(
        self,
        *,
        user: str,
        server: str,
        spawn: str | int,
        machine_type: str,
        datasets: Sequence[Mapping[str, Any]] = (),
        environment: Mapping[str, str] | None = None,
        args: Sequence[str] = (),
    ) -> dict[str, Any]:
        """Claim a machine and return the allocation; the same claim again returns the same one.

        Raises `BadInput`, `PoolExhausted`, `Conflict`, `Denied`, `Unavailable`.
        """
        body = {
            "user": user,
            "server": server,
            "spawn": spawn,
            "machine_type": machine_type,
            "data": {"datasets": [dict(one) for one in datasets]},
            "server_start": {"environment": dict(environment or {}), "args": list(args)},
        }
        return await self._ask("POST", "/v1/allocations", body=body)

    async def allocation(self, ident: str) -> dict[str, Any]:
        """Return an allocation and renew its lease; `NotFound` for an unknown one."""
        return await self._ask("GET", f"/v1/allocations/{quote(ident, safe='')}")

    async def allocations(self, user: str, server: str | None = None) -> list[dict[str, Any]]:
        """Return one person's newest allocations, newest first."""
        query = {"user": user} if server is None else {"user": user, "server": server}
        return list((await self._ask("GET", "/v1/allocations", query=query))["allocations"])

    async def release(self, ident: str) -> dict[str, Any]:
        """Begin the release; safe to repeat."""
        return await self._ask("DELETE", f"/v1/allocations/{quote(ident, safe='')}")

    async def renew(self, ident: str, datasets: Mapping[str, Mapping[str, str]]) -> None:
        """Send new session keys to the allocation's machine; they arrive with its next heartbeat."""
        body = {"datasets": {key: dict(words) for key, words in datasets.items()}}
        await self._ask("PUT", f"/v1/allocations/{quote(ident, safe='')}/credentials", body=body)

    async def machine_types(self, user: str) -> list[dict[str, Any]]:
        """Return what is offered to this person, with counts and words."""
        return list((await self._ask("GET", "/v1/machine-types", query={"user": user}))["machine_types"])

    async def machines(self) -> list[dict[str, Any]]:
        """Return every machine that is not gone."""
        return list((await self._ask("GET", "/v1/machines"))["machines"])

    async def shut(self) -> dict[str, int]:
        """Release and end everything; return how many `machines` are left, and the files that ended ones left `unsent`.

        Ask again until no machine is left.
        """
        return await self._ask("POST", "/v1/close", body={})

    async def health(self) -> dict[str, Any]:
        """Say whether VMM and its cloud answer."""
        return await self._ask("GET", "/v1/health")


class VmmClient(_Client):
    """What a person's own server asks, with her token."""

    def __init__(self, url: str, token: str, *, deadline_seconds: float = 20.0) -> None:
        super().__init__(url, f"token {token}", deadline_seconds=deadline_seconds)

    async def allocations(self) -> list[dict[str, Any]]:
        """Return my newest allocations, newest first."""
        return list((await self._ask("GET", "/v1/me/allocations"))["allocations"])

    async def allocation(self, ident: str) -> dict[str, Any]:
        """Return one of mine; `NotFound` for any other."""
        return await self._ask("GET", f"/v1/me/allocations/{quote(ident, safe='')}")

    async def machine_types(self) -> list[dict[str, Any]]:
        """Return what is offered to me."""
        return list((await self._ask("GET", "/v1/me/machine-types"))["machine_types"])

    async def release(self, ident: str) -> dict[str, Any]:
        """Begin the release of one of mine."""
        return await self._ask("DELETE", f"/v1/me/allocations/{quote(ident, safe='')}")
