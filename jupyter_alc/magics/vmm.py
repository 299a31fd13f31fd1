"""`%vmm`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jupyter_alc.magics import shown
from jupyter_alc.magics.parsing import vmm_spoken

if TYPE_CHECKING:
    import argparse

    from jupyter_alc.magics.client import Alc

SPOKEN = vmm_spoken()


def run(alc: Alc, asked: argparse.Namespace) -> shown.Shown:
    """Show the machine."""
    return shown.machine_shown(alc.vmm.status())
