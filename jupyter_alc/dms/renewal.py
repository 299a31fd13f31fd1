"""When session keys are to be renewed (W19): by the Hub for a machine, by a process for its own engine. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jupyter_alc.core.dataset import MountedDataset


@dataclass(slots=True)
class Sessions:
    """The session keys of one plan, and when others are `due` (seconds since 1970); at once where none were seen."""

    due: float = 0.0

    def seen(self, plan: Sequence[MountedDataset], now: float) -> dict[str, dict[str, str]]:
        """Note when they end; returns them by dataset. A third of their time is used before they are renewed."""
        found = {one.id: dict(one.credentials) for one in plan if one.credentials.get("expires")}
        ends = [datetime.fromisoformat(words["expires"]).timestamp() for words in found.values()]
        self.due = now + max(0.0, min(ends) - now) / 3 if ends else math.inf
        return found
