"""Which errno a program sees for each of our errors."""

from __future__ import annotations

import errno
from typing import Final

from jupyter_alc.core import errors
from jupyter_alc.core.errors import AlcError

_NUMBERS: Final[tuple[tuple[type[AlcError], int], ...]] = (
    (errors.FileNotThere, errno.ENOENT),
    (errors.ReadOnly, errno.EROFS),
    (errors.VersionChanged, errno.ESTALE),
    (errors.ArchiveUnreachable, errno.EIO),
    (errors.NoSpace, errno.ENOSPC),
    (errors.Denied, errno.EACCES),
    (errors.Unavailable, errno.EIO),
    (errors.NotFound, errno.ENOENT),
    (errors.BadInput, errno.EINVAL),
    (errors.Missing, errno.EOPNOTSUPP),
)


def errno_of(error: BaseException) -> int:
    """Return the errno for `error`; what we cannot explain is EIO, never "not there"."""
    if isinstance(error, AlcError):
        own = getattr(error, "errno", None)
        if isinstance(own, int) and own:
            return own
        return next((number for kind, number in _NUMBERS if isinstance(error, kind)), errno.EIO)
    if isinstance(error, OSError) and error.errno:
        return error.errno
    return errno.EIO
