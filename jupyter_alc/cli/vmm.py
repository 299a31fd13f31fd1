"""`alc vmm`: the machine your server runs on, from a terminal of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jupyter_alc.cli.answering import add_verb
from jupyter_alc.magics import shown

if TYPE_CHECKING:
    import argparse

    from jupyter_alc.magics.client import Alc
    from jupyter_alc.magics.shown import Shown


def add_parser(subparsers: Any) -> None:
    """Add `vmm` with its verbs."""
    parser = subparsers.add_parser("vmm", help="your machine: status, stop", description="The machine of your server.")
    verbs = parser.add_subparsers(dest="verb", metavar="verb", required=True)
    add_verb(verbs, "status", "the machine and what it uses now", _status)
    add_verb(verbs, "stop", "send what is unsent, then give the machine back: this ends your server", _stop)


def _status(alc: Alc, asked: argparse.Namespace) -> Shown:
    return shown.machine_shown(alc.vmm.status())


def _stop(alc: Alc, asked: argparse.Namespace) -> Shown:
    told = alc.vmm.stop()
    return shown.words("Your results are being sent; then this server ends and the machine is recycled.", told)
