"""What the catalogue offers a person, and the plan her machine gets. Here DMS and VMM meet, through values of core.

The operator may change the files while the Hub runs. A mistake in one is told in the Hub's log with file, line and what
to write; people go on with the catalogue as it was before, or are told that the operator has to mend it.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from traitlets.log import get_logger

from jupyter_alc.core.errors import BadFile, Unavailable
from jupyter_alc.dms.catalogue import Catalogue

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jupyter_alc.core.dataset import Dataset, MountedDataset


@dataclass(slots=True)
class _Kept:
    """One catalogue: read again only when its file has changed, and kept when it became wrong."""

    path: Path
    good: Catalogue | None = None
    seen: tuple[int, int, int] | None = None
    mistake: BadFile | None = None

    def read(self) -> Catalogue:
        seen = self._seen()
        if seen is None or seen != self.seen:
            try:
                self.good, self.mistake = Catalogue.from_file(self.path), None
            except BadFile as mistake:
                if self.mistake is None or mistake.line != self.mistake.line:
                    kept = "The datasets of before are still offered." if self.good else "No dataset is offered."
                    get_logger().error("%s %s", mistake.line, kept)
                self.mistake = mistake
            self.seen = seen
        if self.good is None:
            raise _unreadable("The list of datasets") from self.mistake
        return self.good

    def _seen(self) -> tuple[int, int, int] | None:
        try:
            found = self.path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino


_kept: dict[str, _Kept] = {}


def _catalogue(path: str) -> Catalogue:
    return _kept.setdefault(path, _Kept(Path(path))).read()


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
