"""Whether this process may open FUSE's device, and the one error for data that can be no folder; without pyfuse3."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from jupyter_alc.core.errors import Missing

DEVICE: Final = Path("/dev/fuse")
_NUMBER: Final = os.makedev(10, 229)
_LOAD: Final = "load the kernel module fuse (modprobe fuse)"


@dataclass(frozen=True, slots=True)
class Lack:
    """What keeps us from FUSE, and what the administrator can do about it; both go on a sentence."""

    found: str
    cure: str


def lacking(device: Path = DEVICE) -> Lack | None:
    """Say why no folder can be mounted by this process; None where nothing is in the way."""
    try:
        if device.stat().st_rdev != _NUMBER:
            return Lack("is another device", _LOAD)
        os.close(os.open(device, os.O_RDWR | os.O_CLOEXEC))
    except FileNotFoundError:
        return Lack("is not there", _LOAD)
    except PermissionError:
        root = os.geteuid() == 0
        return Lack("may not be opened", "allow the device c 10:229 here" if root else f"chmod 0666 {device}")
    except OSError as error:
        return Lack(f"cannot be opened ({errno.errorcode.get(error.errno or 0, 'unknown')})", _LOAD)
    return None


def no_folder(why: str, cure: str) -> Missing:
    """Say that data is served without a mount: `why`, what to use instead, and the `cure` that brings folders back."""
    return Missing(
        f"Your datasets are no folders here: {why}.",
        next_step=f"Open them as dms://dataset/file in Python; for folders {cure}.",
    )
