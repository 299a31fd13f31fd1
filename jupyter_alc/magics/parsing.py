"""What can be typed after each magic: one parser gives reading, help and the words completion offers."""

from __future__ import annotations

import argparse
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from IPython.core.error import UsageError

from jupyter_alc.magics.words import plain

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jupyter_alc.magics.verbs import Verb

DEFAULT_NAME = "spark"


class MagicParser(argparse.ArgumentParser):
    """A parser that tells a mistake on one line and ends nothing."""

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **{"add_help": False, "allow_abbrev": False, **more})

    def error(self, message: str) -> NoReturn:
        """Tell the mistake and where the words are listed."""
        raise UsageError(f"{self.prog}: {plain(message)}. {self.prog.split()[0]} help lists what there is.")


@dataclass(frozen=True, slots=True)
class Spoken:
    """A magic's language: its parser, and the parser of each verb."""

    parser: MagicParser
    verbs: Mapping[str, argparse.ArgumentParser]

    def read(self, line: str) -> argparse.Namespace:
        """Read what was typed; nothing typed is `status`. A mistake raises `UsageError`, one line."""
        try:
            typed = shlex.split(line)
        except ValueError:
            raise UsageError(f"{self.parser.prog}: a quote is not closed.") from None
        return self.parser.parse_args(typed or ["status"])

    def help(self) -> str:
        """All that can be typed."""
        lines = [f"{self.parser.prog} <verb> [options]", "", str(self.parser.description), ""]
        for verb, one in self.verbs.items():
            lines.append(f"  {verb:<11}{one.description}")
            lines += [f"      {_usage(option):<22}{option.help}" for option in _options(one)]
        return "\n".join(lines)

    def offers(self, line: str) -> list[str]:
        """The words that may come next, when `line` is what stands after the magic up to the cursor."""
        before, _, begun = line.rpartition(" ")
        typed = before.split()
        if not typed:
            words = list(self.verbs)
        else:
            words = [word for one in _options(self.verbs.get(typed[0])) for word in one.option_strings]
        return [word for word in words if word.startswith(begun) and word not in typed]


def _options(verb: argparse.ArgumentParser | None) -> list[argparse.Action]:
    return [] if verb is None else verb._actions  # noqa: SLF001  (argparse tells them nowhere else)


def _usage(option: argparse.Action) -> str:
    if not option.option_strings:
        return f"[{option.dest}]"
    value = "" if option.nargs == 0 else f" {option.metavar or option.dest.upper()}"
    return f"{option.option_strings[0]}{value}"


def _speaks(name: str, description: str, verbs: Mapping[str, str]) -> Spoken:
    parser = MagicParser(prog=f"%{name}", description=description)
    below = parser.add_subparsers(dest="verb", metavar="verb", parser_class=MagicParser, required=True)
    return Spoken(parser, {verb: below.add_parser(verb, description=told) for verb, told in verbs.items()})


def spoken_of(name: str, description: str, verbs: Mapping[str, Verb]) -> Spoken:
    """A magic whose verbs are described; `help` is added."""
    spoken = _speaks(name, description, {**{verb: one.told for verb, one in verbs.items()}, "help": "show this"})
    for verb, one in verbs.items():
        one.add_arguments(spoken.verbs[verb])
    return spoken


def piezo_spoken() -> Spoken:
    """`%piezo`."""
    spoken = _speaks(
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
        spoken.verbs[verb].add_argument(
            "--name", default=DEFAULT_NAME, help=f"the cluster's name (default: {DEFAULT_NAME})"
        )
    spoken.verbs["start"].add_argument("--workers", type=int, help="how many workers")
    spoken.verbs["start"].add_argument("--cores", type=int, help="cores of each worker")
    spoken.verbs["start"].add_argument("--memory", help="memory of each worker with its unit, such as 1g")
    return spoken


def vmm_spoken() -> Spoken:
    """`%vmm`."""
    return _speaks(
        "vmm",
        "The machine your server runs on.",
        {"status": "the machine and what it uses now", "help": "show this"},
    )
