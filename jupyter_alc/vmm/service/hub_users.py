"""Whose token is this? Asked of the Hub, believed for half a minute."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

import aiohttp

from jupyter_alc.core.errors import Denied, Unavailable
from jupyter_alc.vmm.tokens import digest

if TYPE_CHECKING:
    from jupyter_alc.core.clock import Clock

log = logging.getLogger(__name__)

_BELIEVED_SECONDS: Final = 30.0
_MOST: Final = 10_000
_SCOPES: Final = frozenset({"access:services", "access:services!service=vmm"})


class HubUsers:
    """Asks the Hub who a token belongs to. Close it."""

    def __init__(self, api_url: str, clock: Clock) -> None:
        self._url = api_url.rstrip("/") + "/user"
        self._clock = clock
        self._known: dict[str, tuple[float, str | None]] = {}
        self._session: aiohttp.ClientSession | None = None

    async def name_of(self, token: str) -> str:
        """Return the user's name; `Denied` without the scope, `Unavailable` when the Hub does not answer."""
        key = digest(token)
        known = self._known.get(key)
        if known is None or known[0] < self._clock.monotonic():
            name = _allowed(await self._ask(token))
            if len(self._known) >= _MOST:
                self._known.clear()
            known = (self._clock.monotonic() + _BELIEVED_SECONDS, name)
            self._known[key] = known
        if known[1] is None:
            raise Denied(
                "This token may not ask for machines.", next_step="Log in again, or make a token for yourself."
            )
        return known[1]

    async def _ask(self, token: str) -> dict[str, Any]:
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10))
        unavailable = Unavailable("The Hub does not answer.", next_step="Try again in a moment.")
        try:
            async with self._session.get(self._url, headers={"Authorization": f"token {token}"}) as answer:
                if answer.status in {401, 403}:
                    return {}
                if answer.status != 200:
                    log.warning("the Hub answered %d when asked about a token", answer.status)
                    raise unavailable
                told = await answer.json(content_type=None)
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise unavailable from error
        return told if isinstance(told, dict) else {}

    async def close(self) -> None:
        """Let go of the connection."""
        if self._session is not None:
            await self._session.close()


def _allowed(model: dict[str, Any]) -> str | None:
    scopes = model.get("scopes")
    allowed = isinstance(scopes, list) and not _SCOPES.isdisjoint(str(one) for one in scopes)
    name = model.get("name")
    return name if allowed and model.get("kind") == "user" and isinstance(name, str) and name else None
