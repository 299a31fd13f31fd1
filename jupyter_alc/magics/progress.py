"""Progress while something runs: a bar where there is a front end with widgets, plain lines everywhere else.

A bar ends by itself: full, or with the word that says what went wrong. Beside the widget each display carries its last
line as plain text, for front ends and files without widgets.
"""

from __future__ import annotations

import importlib.util
import sys
from typing import Any, Protocol, TextIO


class Progress(Protocol):
    """Something that shows how far it is."""

    def show(self, line: str, done: int = 0, total: int = 0) -> None:
        """Tell the line, and how much is done of how much; a total of 0 is not known."""
        ...

    def end(self, line: str, *, well: bool) -> None:
        """Tell the last line; safe to repeat."""
        ...


def progress_for(shell: Any) -> Progress:
    """A bar in a notebook, lines in a terminal."""
    notebook = getattr(shell, "kernel", None) is not None and importlib.util.find_spec("ipywidgets") is not None
    return Bar() if notebook else Lines(sys.stdout)


class Lines:
    """One line for each change of the words."""

    def __init__(self, out: TextIO) -> None:
        self._out, self._last, self._ended = out, "", False

    def show(self, line: str, done: int = 0, total: int = 0) -> None:
        """Write the line if it is another."""
        if line != self._last:
            self._last = line
            self._out.write(f"{line}\n")
            self._out.flush()

    def end(self, line: str, *, well: bool) -> None:
        """Write the last line."""
        if not self._ended:
            self._ended = True
            self.show(line)


class Bar:
    """An ipywidgets bar with a line beside it."""

    def __init__(self) -> None:
        from ipywidgets import HBox, IntProgress, Label  # noqa: PLC0415  (only a notebook has it)

        self._bar = IntProgress(value=0, min=0, max=1, layout={"width": "12em"})
        self._label = Label("")
        self._box = HBox([self._bar, self._label])
        self._shown: Any = None
        self._ended = False

    def show(self, line: str, done: int = 0, total: int = 0) -> None:
        """Move the bar; the first call puts it under the cell."""
        self._bar.max = max(total, 1)
        self._bar.value = min(done, self._bar.max)
        self._label.value = line
        if self._shown is None:
            self._display(line)

    def end(self, line: str, *, well: bool) -> None:
        """Fill the bar, or mark it as failed where it stands."""
        if self._ended:
            return
        self._ended = True
        if well:
            self._bar.value = self._bar.max
        self._bar.bar_style = "success" if well else "danger"
        self._label.value = line
        self._display(line)

    def _display(self, line: str) -> None:
        from IPython.display import display  # noqa: PLC0415

        view = {"model_id": self._box.model_id, "version_major": 2, "version_minor": 0}
        bundle = {"application/vnd.jupyter.widget-view+json": view, "text/plain": line}
        if self._shown is None:
            self._shown = display(bundle, raw=True, display_id=True)
        else:
            self._shown.update(bundle, raw=True)
