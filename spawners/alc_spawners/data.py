"""What the catalogue offers a person, and the plan her machine gets. Here DMS and VMM meet, through values of core.

The operator may change the files while the Hub runs. A mistake in one is told in the Hub's log with file, line and what
to write; people go on with the catalogue as it was before, or are told that the operator has to mend it.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

from traitlets.log import get_logger

from jupyter_alc.core.errors import BadFile, Unavailable
from jupyter_alc.dms.catalogue_file import CatalogueFile

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jupyter_alc.core.dataset import Dataset, MountedDataset
    from jupyter_alc.dms.catalogue import Catalogue


_files: dict[str, CatalogueFile] = {}


def _catalogue(path: str) -> Catalogue:
    file = _files.setdefault(path, CatalogueFile(Path(path), lambda line: get_logger().error("%s", line)))
    try:
        return file.read()
    except BadFile as mistake:
        raise _unreadable("The list of datasets") from mistake


def _unreadable(what: str) -> Unavailable:
    return Unavailable(
        f"{what} cannot be read.", next_step="Tell the operator: the Hub's log says what is wrong with the file."
    )


async def datasets_for(catalogue: str, user: str) -> list[Dataset]:
    """The datasets this person may read; none without a catalogue. Raises `Unavailable` when none could be read yet."""
    if not catalogue:
        return []
    return await asyncio.to_thread(lambda: _catalogue(catalogue).for_user(user))


async def plan_for(catalogue: str, credentials: str, user: str, ids: Sequence[str]) -> list[MountedDataset]:
    """The chosen datasets with this person's credentials in them: for the claim only, never for a page or a log.

    Raises `Unavailable` for a file with a mistake, `NotFound` for a dataset that is no longer there.
    """
    if not catalogue or not ids:
        return []
    secrets = Path(credentials) if credentials else None
    try:
        return await asyncio.to_thread(lambda: _catalogue(catalogue).mounted_for(user, ids, secrets))
    except BadFile as mistake:
        get_logger().error("%s", mistake.line)
        raise _unreadable("The archives' credentials") from mistake
