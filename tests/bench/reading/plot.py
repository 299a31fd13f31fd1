"""The figures as one picture: a small panel for each row, ours beside the others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import matplotlib as mpl

mpl.use("Agg")

from matplotlib import pyplot

if TYPE_CHECKING:
    from pathlib import Path

    from bench.reading.bars import Results


@dataclass(frozen=True)
class Panel:
    """One figure of one row; `less` is better or more is."""

    row: str
    figure: str
    title: str
    less: bool = False
    log: bool = False


PANELS: Final = (
    Panel("first 4 KiB, +20 ms", "ms", "first 4 KiB, ms", less=True),
    Panel("stream, +0 ms", "cold MiB/s", "1 GiB cold, MiB/s"),
    Panel("stream, +20 ms", "cold MiB/s", "1 GiB cold, +20 ms, MiB/s"),
    Panel("stream, +0 ms", "again MiB/s", "1 GiB again, MiB/s"),
    Panel("random aligned, +20 ms", "reads/s", "64 KiB at random, +20 ms, reads/s"),
    Panel("random aligned, +20 ms", "moved / asked", "... bytes moved / asked", less=True, log=True),
    Panel("cached 4 KiB, +0 ms", "reads/s", "4 KiB cached, reads/s"),
    Panel("small files, +20 ms", "files/s", "300 small files, +20 ms, files/s"),
    Panel("names, +0 ms", "cold s", "ls -l of 10,000, cold, s", less=True, log=True),
    Panel("names, +0 ms", "warm ms", "ls -l of 10,000, warm, ms", less=True, log=True),
    Panel("frame, +0 ms", "MB moved", "one frame of 2.1 MB, MB moved", less=True, log=True),
    Panel("stream, +0 ms", "cold CPU-s per GiB", "processor, s per GiB", less=True),
)
_OURS: Final = "#d9480f"
_FLOOR: Final = "#495057"
_OTHERS: Final = "#adb5bd"


def draw(results: Results, file: Path) -> None:
    """Write the picture as SVG; the same figures make the same file. None without a row that has a panel."""
    shown = [one for one in PANELS if one.row in results]
    if not shown:
        return
    style = {"svg.fonttype": "none", "svg.hashsalt": "bench", "font.size": 8, "axes.titlesize": 8}
    with mpl.rc_context(style):
        across = 3
        down = -(-len(shown) // across)
        figure, axes = pyplot.subplots(down, across, figsize=(9.6, 1.55 * down), squeeze=False, layout="constrained")
        for axis in axes.flat[len(shown) :]:
            axis.set_axis_off()
        for axis, panel in zip(axes.flat, shown, strict=False):
            _panel(axis, panel, results[panel.row])
        figure.savefig(file, metadata={"Date": None})
        pyplot.close(figure)


def _panel(axis: Any, panel: Panel, row: dict[str, dict[str, Any]]) -> None:
    told = {name: figures[panel.figure] for name, figures in row.items() if panel.figure in figures}
    names = sorted(told, key=lambda name: (name != "ours", name == "floor"), reverse=True)
    medians = [told[name]["median"] for name in names]
    spreads = [
        [told[name]["median"] - told[name]["low"] for name in names],
        [told[name]["high"] - told[name]["median"] for name in names],
    ]
    colours = [_OURS if name == "ours" else _FLOOR if name == "floor" else _OTHERS for name in names]
    axis.barh(names, medians, xerr=spreads, color=colours, height=0.75, error_kw={"linewidth": 0.8})
    axis.set_title(f"{panel.title} ({'less' if panel.less else 'more'} is better)", loc="left")
    if panel.log:
        axis.set_xscale("log")
    axis.spines[["top", "right"]].set_visible(False)
