"""What can be typed after each magic: one parser gives reading, help and the words completion offers."""

from __future__ import annotations

import argparse
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from IPython.core.error import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

DEFAULT_NAME = "spark"


class MagicParser(argparse.ArgumentParser):
    """A parser that tells a mistake on one line and ends nothing."""

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **{"add_help": False, "allow_abbrev": False, **more})

    def error(self, message: str) -> NoReturn:
        """Tell the mistake and where the words are listed."""
        raise UsageError(f"{self.prog}: {message}. {self.prog.split()[0]} help lists what there is.")


class _Words(argparse.RawDescriptionHelpFormatter):
    """Verbs and what they do side by side, whatever the terminal's width."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=14, width=110)


@dataclass(frozen=True, slots=True)
class Spoken:
    """A magic's language: its parser and, for each verb, the options it knows."""

    parser: MagicParser
    verbs: dict[str, tuple[str, ...]]

    def read(self, line: str) -> argparse.Namespace:
        """Read what was typed; nothing typed is `status`. A mistake raises `UsageError`, one line."""
        try:
            typed = shlex.split(line)
        except ValueError:
            raise UsageError(f"{self.parser.prog}: a quote is not closed.") from None
        return self.parser.parse_args(typed or ["status"])

    def help(self) -> str:
        """All that can be typed."""
        return self.parser.format_help()

    def offers(self, line: str) -> Iterable[str]:
        """The words that may come next, when `line` is what stands after the magic up to the cursor."""
        before, _, begun = line.rpartition(" ")
        typed = before.split()
        words = self.verbs.get(typed[0], ()) if typed else tuple(self.verbs)
        return [word for word in words if word.startswith(begun) and word not in typed]


def _speaks(
    name: str, description: str, verbs: dict[str, str]
) -> tuple[MagicParser, dict[str, argparse.ArgumentParser]]:
    parser = MagicParser(
        prog=f"%{name}", description=description, formatter_class=_Words, usage=f"%%{name} <verb> [options]"
    )
    below = parser.add_subparsers(dest="verb", metavar="verb", parser_class=MagicParser)
    return parser, {verb: below.add_parser(verb, help=told, description=told) for verb, told in verbs.items()}


def _spoken(parser: MagicParser, verbs: dict[str, argparse.ArgumentParser]) -> Spoken:
    known = {
        verb: tuple(option for action in one._actions for option in action.option_strings)  # noqa: SLF001  (argparse tells it nowhere else)
        for verb, one in verbs.items()
    }
    parser.epilog = "\n".join(" ".join(one.format_usage().split()[1:]) for one in verbs.values())
    return Spoken(parser, known)


def dms_spoken() -> Spoken:
    """`%dms`."""
    parser, verbs = _speaks(
        "dms",
        "Your data: what is mounted, what moved, what still has to reach the archive.",
        {
            "status": "datasets with bytes moved, and what is unsent",
            "ls": "list a folder of a dataset, without moving any file",
            "flush": "send unsent results now and wait",
            "help": "show this",
        },
    )
    verbs["ls"].add_argument("path", nargs="?", default="", help="<dataset>/<folder>")
    verbs["flush"].add_argument("--deadline", type=float, default=60.0, metavar="SECONDS", help="how long to wait")
    return _spoken(parser, verbs)


def piezo_spoken() -> Spoken:
    """`%piezo`."""
    parser, verbs = _speaks(
        "piezo",
        "A Spark cluster of your own, on your machine.",
        {
            "start": "start a cluster, or attach to the one of that name; puts the session into `spark`",
            "status": "your clusters",
            "stop": "end a cluster and wait until it is gone",
            "ui": "the way to the Spark UI",
            "help": "show this",
        },
    )
    for verb in ("start", "stop", "ui"):
        verbs[verb].add_argument("--name", default=DEFAULT_NAME, help=f"the cluster's name (default: {DEFAULT_NAME})")
    verbs["start"].add_argument("--workers", type=int, help="how many workers")
    verbs["start"].add_argument("--cores", type=int, help="cores of each worker")
    verbs["start"].add_argument("--memory", help="memory of each worker with its unit, such as 1g")
    return _spoken(parser, verbs)


def vmm_spoken() -> Spoken:
    """`%vmm`."""
    parser, verbs = _speaks(
        "vmm",
        "The machine your server runs on.",
        {"status": "the machine and what it uses now", "help": "show this"},
    )
    return _spoken(parser, verbs)
