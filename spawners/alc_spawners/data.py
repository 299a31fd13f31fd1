"""What the catalogue offers a person, and the plan her machine gets. Here DMS and VMM meet, through values of core."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

from jupyter_alc.dms.catalogue import Catalogue

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jupyter_alc.core.dataset import Dataset, MountedDataset


async def datasets_for(catalogue: str, user: str) -> list[Dataset]:
    """The datasets this person may read; none without a catalogue. Raises `BadFile` for a catalogue with a mistake."""
    if not catalogue:
        return []
    return await asyncio.to_thread(lambda: list(Catalogue.from_file(Path(catalogue)).for_user(user)))


async def plan_for(catalogue: str, credentials: str, user: str, ids: Sequence[str]) -> list[MountedDataset]:
    """The chosen datasets with this person's credentials in them: for the claim only, never for a page or a log."""
    if not catalogue or not ids:
        return []
    secrets = Path(credentials) if credentials else None
    return await asyncio.to_thread(
        lambda: list(Catalogue.from_file(Path(catalogue)).mounted_for(user, list(ids), secrets))
    )
