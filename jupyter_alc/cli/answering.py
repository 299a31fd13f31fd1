"""How the verbs of `alc` answer: a table or JSON on stdout, one line on stderr when it went wrong, and an exit code.

0   done
1   it could not be done: the line says why and what to do next
2   a word on the command line is wrong (argparse says so)
3   done, and something is still unsent
130 interrupted
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from jupyter_alc.core.errors import AlcError
from jupyter_alc.magics.client import Alc
from jupyter_alc.magics.words import plain

if TYPE_CHECKING:
    import argparse

    from jupyter_alc.magics.shown import Shown

DONE, NOT_DONE, UNSENT, INTERRUPTED = 0, 1, 3, 130

Act = Callable[[Alc, "argparse.Namespace"], "Shown"]
Code = Callable[["Shown"], int]


def always_done(shown: Shown) -> int:
    """For verbs whose answer is never half done."""
    return DONE


def answering(act: Act, code: Code = always_done) -> Callable[[argparse.Namespace], int]:
    """Make a verb of `act`: ask, print, and return the exit code."""

    def run(asked: argparse.Namespace) -> int:
        try:
            shown = act(Alc(), asked)
        except AlcError as error:
            sys.stderr.write(f"{plain(error.line)}\n")
            return NOT_DONE
        except KeyboardInterrupt:  # what was waited for goes on, and has said so
            return INTERRUPTED
        text = json.dumps(shown.told, indent=1) if asked.json else shown.text
        sys.stdout.write(f"{text}\n")
        return code(shown)

    return run


def add_verb(verbs: Any, name: str, told: str, act: Act, code: Code = always_done) -> argparse.ArgumentParser:
    """Add a verb with `--json`; return its parser for its own options."""
    parser: argparse.ArgumentParser = verbs.add_parser(name, help=told, description=told)
    parser.add_argument("--json", action="store_true", help="print JSON for programs")
    parser.set_defaults(run=answering(act, code))
    return parser


def tell_on_stderr(line: str) -> None:
    """Progress goes where it does not mix with the answer."""
    sys.stderr.write(f"{plain(line)}\n")
    sys.stderr.flush()
