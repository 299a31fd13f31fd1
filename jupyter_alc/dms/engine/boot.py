"""Which run of this machine it is."""

from __future__ import annotations

from pathlib import Path
from typing import Final

_BOOT: Final = Path("/proc/sys/kernel/random/boot_id")


def this_boot() -> str:
    """The id of this run of the machine; "", never equal to one that could be told, where nobody tells."""
    try:
        return _BOOT.read_text().strip()
    except OSError:
        return ""
