"""`alc dms`: your data, from a terminal of your server; the verbs and words of `%dms`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from jupyter_alc.cli.answering import DONE, UNSENT, add_verb, always_done
from jupyter_alc.magics.dms import VERBS
from jupyter_alc.magics.progress import Moving
from jupyter_alc.magics.verbs import Door

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from jupyter_alc.cli.answering import Code
    from jupyter_alc.magics.client import Alc
    from jupyter_alc.magics.shown import Shown
    from jupyter_alc.magics.verbs import Verb


def add_parser(subparsers: Any) -> None:
    """Add `dms` with its verbs."""
    told = f"your data: {', '.join(VERBS)}"
    parser = subparsers.add_parser("dms", help=told, description="Your data on this machine.")
    verbs = parser.add_subparsers(dest="verb", metavar="verb", required=True)
    for name, verb in VERBS.items():
        verb.add_arguments(add_verb(verbs, name, verb.told, _Typed(verb), _CODES.get(name, always_done)))


class _Typed:
    """A verb as the terminal does it."""

    def __init__(self, verb: Verb) -> None:
        self._verb = verb

    def __call__(self, alc: Alc, asked: argparse.Namespace) -> Shown:
        return self._verb.act(alc, asked, Door("alc dms", Moving.on_stderr))


def _left(told: Shown) -> int:
    return UNSENT if told.told else DONE


_CODES: Final[Mapping[str, Code]] = {"flush": _left}
