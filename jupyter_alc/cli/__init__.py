"""The `alc` command: one module per verb, imported only when its verb is called."""

from __future__ import annotations

import argparse
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Final, NoReturn

from jupyter_alc.magics.words import plain

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

VERBS: Final[Mapping[str, str]] = {
    "up": "start the whole system on this computer",
    "doctor": "look whether this computer has what the system needs",
    "dms": "your data: status, ls, plan, fetch, transfers, history, mount, unmount, flush",
    "piezo": "your clusters: start, status, stop",
    "vmm": "your machine: status, stop",
}


class _Parser(argparse.ArgumentParser):
    """A parser whose complaints repeat no control character to the terminal."""

    def error(self, message: str) -> NoReturn:
        super().error(plain(message))


def main(words: Sequence[str] | None = None) -> int:
    """Run one verb; return its exit code. A wrong word is argparse's 2 with the usage."""
    given = list(sys.argv[1:] if words is None else words)
    asked = next((word for word in given if not word.startswith("-")), None)
    parser = _Parser(prog="alc", description="A machine, its data and a Spark cluster of one's own.")
    subparsers = parser.add_subparsers(title="verbs", metavar="verb", required=True)
    for verb, told in VERBS.items():
        if verb == asked:
            import_module(f"jupyter_alc.cli.{verb}").add_parser(subparsers)
        else:
            subparsers.add_parser(verb, help=told)
    options = parser.parse_args(given)
    return int(options.run(options))
