"""Figures: several values of one thing with their spread, and the table that is printed."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


def spread(values: Iterable[float]) -> dict[str, Any]:
    """Median, lowest and highest of `values`, which are kept too, in the order they were seen."""
    kept = [round(value, 3) for value in values]
    return {"median": round(statistics.median(kept), 3), "low": min(kept), "high": max(kept), "values": kept}


def ratio(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> float:
    """How many times ours goes into theirs, by the medians."""
    return round(float(theirs["median"]) / float(ours["median"]), 2)


def table(results: Mapping[str, Any]) -> str:
    """Lines of `measure  figure  value`, for people."""
    rows = [(name, *row) for name, told in results.items() for row in _rows(told)]
    width = max((len(figure) for _, figure, _ in rows), default=0)
    return "\n".join(f"{name:8}  {figure:{width}}  {value}" for name, figure, value in rows)


def _rows(told: Mapping[str, Any], above: str = "") -> Iterable[tuple[str, str]]:
    for name, value in told.items():
        figure = f"{above}{name}"
        if isinstance(value, dict) and "median" in value:
            yield figure, f"{value['median']:g}  ({value['low']:g} to {value['high']:g}, {len(value['values'])} times)"
        elif isinstance(value, dict):
            yield from _rows(value, f"{figure} / ")
        else:
            yield figure, f"{value:,}" if isinstance(value, int) else str(value)
