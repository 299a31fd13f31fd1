"""An engine that follows its catalogue: datasets come, change and go while it runs (T13)."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Final

from jupyter_alc.core.errors import AlcError
from jupyter_alc.dms.catalogue_file import CatalogueFile, seen_of
from jupyter_alc.dms.renewal import Sessions

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from jupyter_alc.core.dataset import MountedDataset

log = logging.getLogger(__name__)
_LOOK_SECONDS: Final = 2.0
_KEYS_SECONDS: Final = 10.0  # between two looks whether session keys are due
_AGAIN_SECONDS: Final = 60.0  # after an archive that gave none


class Followed:
    """The datasets of one person by a catalogue and a file of credentials, looked at every two seconds at most."""

    def __init__(
        self, catalogue: Path, credentials: Path | None, user: str, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._file = CatalogueFile(catalogue, log.error)
        self._credentials, self._user, self._now = credentials, user, now
        self._looked = now()
        self._seen: object = None
        self._mistake: AlcError | None = None
        self._sessions = Sessions()

    @property
    def mistake(self) -> AlcError | None:
        """What is wrong with the files now; what was before is then still in force."""
        return self._file.mistake or self._mistake

    @property
    def due(self) -> bool:
        """Whether it is time to look whether something changed."""
        return self._now() >= self._looked + _LOOK_SECONDS

    def datasets(self) -> list[MountedDataset]:
        """The datasets; `BadFile` where they cannot be read."""
        self._looked, self._seen = self._now(), self._stamp()
        found = self._mounted()
        self._sessions.seen(found, time.time())
        return found

    def _mounted(self) -> list[MountedDataset]:
        known = self._file.read()
        return known.mounted_for(self._user, [one.id for one in known.for_user(self._user)], self._credentials)

    def changed(self) -> list[MountedDataset] | None:
        """The datasets if there was a change since they were read last; None for none, and for one with a mistake."""
        self._looked = self._now()
        if self._stamp() == self._seen:
            return None
        try:
            found = self.datasets()
        except AlcError as mistake:
            self.refuse(mistake)
            return None
        self._mistake = None
        return None if self._file.mistake else found

    async def keep_keys(self, renew: Callable[[Mapping[str, Mapping[str, str]]], object]) -> None:
        """Hand new session keys to `renew` each time a third of the old ones' time is over (W19); never ends."""
        while True:
            await asyncio.sleep(_KEYS_SECONDS)
            if time.time() < self._sessions.due:
                continue
            try:
                found = await asyncio.to_thread(self._mounted)
                renew(self._sessions.seen(found, time.time()))
            except (AlcError, ValueError, OSError) as error:  # else nobody asked again, and reads were `Denied`
                log.warning("No new session keys: %s", error.line if isinstance(error, AlcError) else error)
                self._sessions.due = time.time() + _AGAIN_SECONDS

    def refuse(self, mistake: AlcError) -> None:
        """Note that what was read last cannot be used."""
        log.error("%s The datasets of before are still there.", mistake.line)
        self._mistake = mistake

    def _stamp(self) -> object:
        return seen_of(self._file.path), None if self._credentials is None else seen_of(self._credentials)
