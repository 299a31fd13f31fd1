"""An archive that only takes `bytes=N-`, as a package of others would bring it (R12)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from jupyter_alc.dms.adapters.http import HttpAdapter

if TYPE_CHECKING:
    from jupyter_alc.dms.adapters.interface import Capabilities


class TailAdapter(HttpAdapter):
    """Asks for no range but one to the end."""

    @property
    def capabilities(self) -> Capabilities:
        """As HTTP's, with ranges to the end only."""
        return replace(super().capabilities, ranges="tail")
