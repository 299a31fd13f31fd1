"""What fsspec's HTTP files take unseen: of which version and part of the file an answer is. It is looked at here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Self

import aiohttp

from jupyter_alc.dms.adapters.ranged import FINE
from jupyter_alc.dms.adapters.versions import condition, content_range

if TYPE_CHECKING:
    from collections.abc import Mapping

WEB: Final = frozenset({"http", "https"})


def bound(told: Mapping[str, Any]) -> dict[str, Any]:
    """Options of fsspec's HTTP file system for one file, of which `told` is known: that version's bytes or none."""
    return {"headers": condition(str(told.get("ETag", ""))), "client_kwargs": {"response_class": _LookedAt}}


class _LookedAt(aiohttp.ClientResponse):
    """An answer that is of the version and the part that were asked for, or breaks off."""

    async def start(self, connection: Any) -> Self:
        await super().start(connection)
        version, part = self.request_info.headers.get("If-Match"), self.request_info.headers.get("Range")
        told = content_range(self.headers)
        other = version is not None and self.headers.get("ETag") != version
        if part is not None and self.status == 206:
            other = other or told is None or f"bytes={told[0]}-{told[1] - 1}" != part
        if self.status in FINE and other:  # one on the way to another address says nothing of the file
            self.close()
            raise aiohttp.ClientPayloadError("another version or part")
        return self
