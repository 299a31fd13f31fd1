"""`alc dms`: your data, from a terminal of your server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jupyter_alc.cli.answering import DONE, UNSENT, add_verb
from jupyter_alc.magics import shown

if TYPE_CHECKING:
    import argparse

    from jupyter_alc.magics.client import Alc
    from jupyter_alc.magics.shown import Shown


def add_parser(subparsers: Any) -> None:
    """Add `dms` with its verbs."""
    parser = subparsers.add_parser("dms", help="your data: status, ls, flush", description="Your data on this machine.")
    verbs = parser.add_subparsers(dest="verb", metavar="verb", required=True)
    add_verb(verbs, "status", "datasets with bytes moved, and what is unsent", _status)
    ls = add_verb(verbs, "ls", "list a folder of a dataset, without moving any file", _ls)
    ls.add_argument("path", nargs="?", default="", help="<dataset>/<folder>")
    flush = add_verb(verbs, "flush", "send unsent results now and wait; exit code 3 when some are left", _flush, _left)
    flush.add_argument("--deadline", type=float, default=60.0, metavar="SECONDS", help="how long to wait (default: 60)")


def _status(alc: Alc, asked: argparse.Namespace) -> Shown:
    return shown.data_shown(alc.dms.status())


def _ls(alc: Alc, asked: argparse.Namespace) -> Shown:
    return shown.folder_shown(alc.dms.ls(asked.path))


def _flush(alc: Alc, asked: argparse.Namespace) -> Shown:
    return shown.flush_shown(alc.dms.flush(asked.deadline))


def _left(told: Shown) -> int:
    return UNSENT if told.told else DONE
