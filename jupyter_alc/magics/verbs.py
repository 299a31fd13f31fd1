"""A verb as it is typed after a magic and after `alc`: one description makes both."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import argparse

    from jupyter_alc.magics.client import Alc
    from jupyter_alc.magics.progress import Progress
    from jupyter_alc.magics.shown import Shown


@dataclass(frozen=True, slots=True)
class Door:
    """Where a verb was typed: what stands before it (`%dms`, `alc dms`), and how progress is shown there."""

    by: str
    new_bar: Callable[[], Progress]


Act = Callable[["Alc", "argparse.Namespace", Door], "Shown"]


@dataclass(frozen=True, slots=True)
class Verb:
    """What it does in one line, its arguments as argparse takes them, how it is done, and what Tab offers after it."""

    told: str
    act: Act
    arguments: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    offers: str = ""  # paths, datasets or transfers

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Give a parser its arguments."""
        for name, more in self.arguments.items():
            parser.add_argument(name, **more)
