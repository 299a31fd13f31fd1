"""How numbers and tables read, in a notebook and in a terminal alike. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jupyter_alc.core.names import can_be_shown
from jupyter_alc.core.sizes import size

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def part_of(done: Any, whole: Any) -> str:
    """`done` of `whole`, with a unit that both share named once: `1.2 of 1.9 MB`."""
    number, _, unit = size(done).partition(" ")
    shared = unit == size(whole).partition(" ")[2] or done == 0
    return f"{number if shared else size(done)} of {size(whole)}"


def seconds(count: Any) -> str:
    """Seconds as people say them: `0.5 s`, `75 s`, `4 min`; `unknown` for nothing known."""
    if not isinstance(count, int | float) or isinstance(count, bool):
        return "unknown"
    if count < 10:
        return f"{count:.1f} s"
    return f"{count:.0f} s" if count < 120 else f"{count / 60:.0f} min"


def duration(count: float) -> str:
    """A time that is still to go: `42 s`, `30 min`, `4 h 12 min`."""
    if count < 90:
        return f"{max(0, int(count + 0.5))} s"
    minutes = int(count / 60 + 0.5)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def plural(count: int, one: str, many: str = "") -> str:
    """`1 file`, `3 files`."""
    return f"{count} {one if count == 1 else many or one + 's'}"


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Columns as wide as they need, for a terminal; control characters are shown, not sent."""
    lines = [tuple(head), *(tuple(plain(cell) for cell in row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def plain(told: Any) -> str:
    """The text of one cell, with what moves a cursor or turns text around made visible."""
    text = "" if told is None else str(told)
    return text if text.isprintable() else "".join(one if can_be_shown(one) else repr(one)[1:-1] for one in text)


def short(told: Any, most: int = 60) -> str:
    """A text for one cell among others: its beginning where it is long."""
    text = plain(told)
    return text if len(text) <= most else f"{text[: most - 1]}…"
