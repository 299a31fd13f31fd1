"""The spawner's questions to VMM over REST; every trouble comes back as an `AlcError`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import aiohttp

from jupyter_alc.core.errors import AlcError, Denied, NotFound, Unavailable, from_json

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def _no_answer() -> Unavailable:
    return Unavailable(
        "The machine service does not answer.", next_step="Try again in a minute; if it stays so, tell the operator."
    )


@dataclass(frozen=True, slots=True)
class Vmm:
    """VMM at `url`, asked in the Hub's name; `secret_file` holds the secret both share.

    Methods raise what VMM told (`NotFound`, `PoolExhausted`, …), or `Unavailable` when it could not be asked within
    the `deadline` in seconds. A session per question: they are few, and none can outlive a Hub's event loop.
    """

    url: str
    secret_file: Path
    deadline: float = 20.0

    async def machine_types(self, user: str) -> list[dict[str, Any]]:
        """What is offered to this person, with live counts."""
        return _list_of(await self._ask("GET", "/v1/machine-types", {"user": user}), "machine_types")

    async def claim(self, wanted: Mapping[str, Any]) -> dict[str, Any]:
        """Claim a machine; the same claim again answers the same allocation."""
        return dict(await self._ask("POST", "/v1/allocations", body=wanted))

    async def allocation(self, ident: str) -> dict[str, Any]:
        """One allocation; asking keeps its lease."""
        return dict(await self._ask("GET", f"/v1/allocations/{ident}"))

    async def allocations(self, user: str, server: str) -> list[dict[str, Any]]:
        """All allocations for this server of this person that VMM still knows."""
        return _list_of(await self._ask("GET", "/v1/allocations", {"user": user, "server": server}), "allocations")

    async def release(self, ident: str) -> None:
        """Give the machine back: it sends what is unsent and ends. Unknown is already released."""
        try:
            await self._ask("DELETE", f"/v1/allocations/{ident}")
        except NotFound:
            return

    async def _ask(
        self, method: str, path: str, query: Mapping[str, str] | None = None, body: Mapping[str, Any] | None = None
    ) -> Any:
        try:
            headers = {"Authorization": f"hub {self.secret_file.read_text().strip()}"}
        except OSError as error:
            raise Denied(
                "The Hub's secret for the machine service cannot be read.", next_step="Tell the operator."
            ) from error
        timeout = aiohttp.ClientTimeout(total=self.deadline)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout) as session,
                session.request(method, self.url + path, params=query, json=body, headers=headers) as answer,
            ):
                return _understood(answer.status, await answer.read())
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            if isinstance(error, AlcError):
                raise
            raise _no_answer() from error


def _understood(status: int, body: bytes) -> Any:
    try:
        told = json.loads(body) if body else {}
    except ValueError:
        told = None
    if status < 400 and told is not None:
        return told
    if isinstance(told, dict) and "code" in told:
        raise from_json(told)
    raise _no_answer()


def _list_of(told: Any, name: str) -> list[dict[str, Any]]:
    """VMM's lists come bare or below their name."""
    return list(told[name] if isinstance(told, dict) else told)
