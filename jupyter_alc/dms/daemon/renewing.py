"""New session keys from who keeps the daemon (W19): taken by its uid alone, kept in memory only, never told again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aiohttp import web

from jupyter_alc.core.errors import BadInput, Denied
from jupyter_alc.dms.daemon import asked

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

ROUTE: Final = "/v1/credentials"


def add(
    made: web.Application,
    renew: Callable[[Mapping[str, Mapping[str, str]]], list[str]],
    uid_of: Callable[[web.Request], int | None],
    keepers: frozenset[int],
) -> None:
    """Add the route; `keepers` may use it."""

    async def credentials(request: web.Request) -> web.Response:
        if uid_of(request) not in keepers:
            raise Denied("Only who keeps the data service renews its credentials.", next_step="Start your server anew.")
        told = (await asked.told(request)).get("datasets")
        if not isinstance(told, dict) or not all(isinstance(words, dict) for words in told.values()):
            raise BadInput("datasets is no table.", next_step="Give {id: {word: text}}.", field="datasets")
        clean = {str(key): {str(name): str(word) for name, word in words.items()} for key, words in told.items()}
        return web.json_response({"renewed": renew(clean)})

    made.add_routes([web.post(ROUTE, credentials)])
