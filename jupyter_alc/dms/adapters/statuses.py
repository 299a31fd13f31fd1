"""What an HTTP status of an archive means in our words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from jupyter_alc.core.errors import ArchiveUnreachable, Denied, FileNotThere, NoSpace, VersionChanged
from jupyter_alc.dms.adapters.interface import HIDDEN, AnsweredBadly

if TYPE_CHECKING:
    from jupyter_alc.core.errors import AlcError

BUSY: Final = frozenset({429, 503})
"""The archive is there and asks to be asked again."""
_AWAY: Final = frozenset({502, 503, 504})


def error_of(status: int, verb: str, path: str) -> AlcError:
    """The error for an answer that was not the wanted one."""
    where = path or "The dataset"
    if HIDDEN in where:  # an upload on its way: nobody knows it by that name
        where = "The file"
    if status in {404, 410}:
        return FileNotThere(f"{where} is not in the archive.", next_step="List its folder to see what is.")
    if status == 409 and verb in {"PUT", "MOVE", "MKCOL"}:
        return FileNotThere(f"The folder of {where} is not in the archive.", next_step="Make the folder first.")
    if status in {412, 416}:
        return VersionChanged(f"{where} changed in the archive.", next_step="Open it again to see the new version.")
    if status == 401:
        return Denied("The archive does not accept the credentials.", next_step="Renew them.", field="credentials")
    if status in {403, 405}:
        return Denied(f"The archive does not allow this with {where}.", next_step="Ask its owner for the right to.")
    if status in {413, 507}:
        return archive_is_full()
    if status == 429:
        return busy()
    kind = ArchiveUnreachable if status in _AWAY else AnsweredBadly
    return kind(f"The archive answered with HTTP {status}.", next_step="Try again in a moment.")


def busy() -> AnsweredBadly:
    """What every adapter says of an archive that is there and has too much to do."""
    return AnsweredBadly("The archive has too much to do.", next_step="Try again in a moment.")


def archive_is_full() -> NoSpace:
    """What every adapter says of an archive that takes no more."""
    return NoSpace(
        "The archive is full.",
        next_step="Remove something there, or ask its owner for room; what is unsent is kept and sent then.",
    )
