"""An archive that says nothing: when to stop waiting for it, where something is known to be shown instead (N3)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from jupyter_alc.dms.engine.link import Link

SILENT_SECONDS: Final = 3.0
FOUND_OUT_SECONDS: Final = 0.25  # for one that was silent already


class Silence:
    """What is known of one archive's silence. For one event loop."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._silent_since = -1.0  # when it was last heard, as the last one found who waited in vain

    async def broken_by(self, answer: asyncio.Future[Any], may_end: Callable[[], bool] = lambda: True) -> bool:
        """Wait until `answer` is there; False when the archive is silent by then and `may_end` is true."""
        while not answer.done():
            heard = self._link.heard_at
            known = not self._link.reachable or heard == self._silent_since
            await asyncio.wait({answer}, timeout=FOUND_OUT_SECONDS if known else SILENT_SECONDS)
            if not answer.done() and self._link.heard_at == heard and may_end():
                self._silent_since = heard
                return False
        return True
