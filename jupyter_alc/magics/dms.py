"""`%dms`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jupyter_alc.magics import shown
from jupyter_alc.magics.parsing import dms_spoken

if TYPE_CHECKING:
    import argparse

    from jupyter_alc.magics.client import Alc

SPOKEN = dms_spoken()


def run(alc: Alc, asked: argparse.Namespace) -> shown.Shown:
    """Do what was asked and show it."""
    if asked.verb == "ls":
        return shown.folder_shown(alc.dms.ls(asked.path))
    if asked.verb == "flush":
        return shown.flush_shown(alc.dms.flush(asked.deadline))
    return shown.data_shown(alc.dms.status())
