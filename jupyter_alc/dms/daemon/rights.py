"""Giving up root, and keeping others out of this process's memory, where the archive's credentials are."""

from __future__ import annotations

import ctypes
import os
import resource
from typing import TYPE_CHECKING, Final

from jupyter_alc.core.errors import Denied, NoSpace
from jupyter_alc.core.full_disk import is_full_disk

if TYPE_CHECKING:
    from pathlib import Path

    from jupyter_alc.dms.daemon.order import Order

_PR_SET_DUMPABLE: Final = 4
_PR_SET_NO_NEW_PRIVS: Final = 38


def prepare_folder(folder: Path, mode: int, order: Order) -> None:
    """Make a folder of the daemon's, if it is not there; root gives it to the daemon's user."""
    if folder.exists():
        return
    try:
        folder.mkdir(mode=mode, parents=True)
        folder.chmod(mode)
        if order.run_as_uid is not None and os.geteuid() == 0:
            os.chown(folder, order.run_as_uid, _gid(order))
    except OSError as error:
        kind = NoSpace if is_full_disk(error) else Denied
        raise kind(
            f"The data service's folder {folder} cannot be made: {error.strerror}.",
            next_step="Make it a folder of the data service with free space.",
        ) from error


def become(order: Order) -> None:
    """Take the final user, for good, and shut the process against debuggers of that user."""
    libc = ctypes.CDLL(None, use_errno=True)
    if order.run_as_uid is not None and os.geteuid() == 0:
        gid = _gid(order)
        os.setgroups([])
        os.setresgid(gid, gid, gid)
        os.setresuid(order.run_as_uid, order.run_as_uid, order.run_as_uid)
        libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        if os.getresuid() != (order.run_as_uid,) * 3 or os.getgroups():
            raise Denied("The data service could not give up root.", next_step="Tell the facility's support.")
    elif order.run_as_uid not in {None, os.geteuid()}:
        raise Denied("Only root may start a data service for another user.", next_step="Leave out run_as_uid.")
    libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _gid(order: Order) -> int:
    assert order.run_as_uid is not None
    return order.run_as_uid if order.run_as_gid is None else order.run_as_gid
