"""Progress while something runs: a bar where there is a front end with widgets, plain lines everywhere else.

A bar ends by itself: full, or with the word that says what went wrong. It is a widget while it moves; what stays in the
notebook at its end is HTML and text, which need no kernel.
"""

from __future__ import annotations

import importlib.util
import sys
from html import escape
from typing import Any, Protocol, TextIO

from jupyter_alc.magics.words import plain


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


class Moving:
    """One line that is written over while it moves, on a terminal; elsewhere only its last words."""

    def __init__(self, out: TextIO) -> None:
        self._out, self._width, self._ended = out, 0, False
        self._terminal = out.isatty()

    @classmethod
    def on_stderr(cls) -> Moving:
        """Where it does not mix with the answer."""
        return cls(sys.stderr)

    def show(self, line: str, done: int = 0, total: int = 0) -> None:
        """Write over the line, with a bar of twenty signs where the whole is known."""
        if not self._terminal:
            return
        filled = 20 * min(done, total) // total if total else 0
        told = f"[{'#' * filled}{'.' * (20 - filled)}] {plain(line)}" if total else plain(line)
        self._out.write(f"\r{told.ljust(self._width)}")
        self._out.flush()
        self._width = len(told)

    def end(self, line: str, *, well: bool) -> None:
        """Leave the line empty when it went well: the answer says the rest."""
        if self._ended:
            return
        self._ended = True
        self._out.write(f"\r{' ' * self._width}\r" if self._width else "")
        self._out.write("" if well else f"{plain(line)}\n")
        self._out.flush()


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
            view = {"model_id": self._box.model_id, "version_major": 2, "version_minor": 0}
            self._display({"application/vnd.jupyter.widget-view+json": view, "text/plain": line})

    def end(self, line: str, *, well: bool) -> None:
        """Leave the bar full, or as failed where it stands."""
        if self._ended:
            return
        self._ended = True
        done = self._bar.max if well else self._bar.value
        self._display({"text/html": _kept(line, done, self._bar.max, well=well), "text/plain": line})
        for one in (self._box, self._bar, self._label):
            one.close()

    def _display(self, bundle: dict[str, Any]) -> None:
        from IPython.display import display  # noqa: PLC0415

        if self._shown is None:
            self._shown = display(bundle, raw=True, display_id=True)
        else:
            self._shown.update(bundle, raw=True)


def _kept(line: str, done: int, total: int, *, well: bool) -> str:
    """The bar as a saved notebook shows it."""
    look = f"width:12em;accent-color:var(--jp-{'success' if well else 'error'}-color1)"
    bar = f'<progress value="{done}" max="{total}" aria-hidden="true" style="{look}"></progress>'
    return f'<div class="jp-AlcShown">{bar} {escape(line)}</div>'
