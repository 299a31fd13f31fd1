"""The two plots of the example, drawn on axes that the caller made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from jupyter_alc.example.guinier import Curve, Fit, fit

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd


def draw_radii(axes: Any, table: pd.DataFrame) -> None:
    """Every radius with its error, sorted by size, on a logarithmic scale; `table` has the columns of the job."""
    found = table.dropna(subset=["rg"]).sort_values("rg").assign(rank=lambda rows: np.arange(1, len(rows) + 1))
    for rows, face, words in ((found[~found["weak"]], "C0", "clear"), (found[found["weak"]], "none", "weak")):
        radius, error = rows["rg"].to_numpy(), rows["rg_error"].to_numpy()
        low = np.minimum(error, 0.9 * radius)  # a bar down to zero has no place on a log scale
        style = {"fmt": "o", "ms": 4, "mfc": face, "mec": "C0", "ecolor": "0.6", "lw": 1}
        axes.errorbar(rows["rank"].to_numpy(), radius, yerr=[low, error], label=f"{words} ({len(rows)})", **style)
    axes.set_yscale("log")
    if len(found):
        axes.set_ylim(0.5 * found["rg"].min(), 2 * found["rg"].max())
    axes.set_xlabel("curve, sorted by radius")
    axes.set_ylabel("radius of gyration Rg / Å")
    axes.set_title(f"{len(found)} of {int((table['curve'] > 0).sum())} curves have a Guinier range")
    axes.legend(frameon=False)
    axes.grid(visible=True, which="major", alpha=0.3)


def draw_guinier(axes: Any, curves: Sequence[Curve]) -> None:
    """Guinier plots of a few curves: ln(I/I0) over (q·Rg)², the points used filled, the law as a line."""
    law = np.linspace(0, 2.5, 50)
    axes.plot(law, -law / 3, color="0.4", lw=1, zorder=3, label="ln(I/I0) = -(q·Rg)²/3")
    for place, curve in enumerate(curves):
        result = fit(curve)
        if isinstance(result, Fit):
            _draw_curve(
                axes, curve, result, f"C{place}", f"{curve.file}  Rg = {result.rg:.4g} ± {result.rg_error:.2g} Å"
            )
    axes.axvline(1.3**2, color="0.7", ls=":", lw=1)
    axes.set_xlim(0, 2.5)
    axes.set_ylim(-1.1, 0.15)
    axes.set_xlabel("(q·Rg)²")
    axes.set_ylabel("ln(I / I0)")
    axes.legend(fontsize="small", frameon=False)
    axes.grid(visible=True, alpha=0.3)


def _draw_curve(axes: Any, curve: Curve, result: Fit, colour: str, label: str) -> None:
    good = (curve.q > 0) & (curve.intensity > 0)
    x, y = (curve.q[good] * result.rg) ** 2, np.log(curve.intensity[good] / result.i0)
    used = curve.q[good] <= result.q_max
    axes.plot(x[used], y[used], "o", ms=4, color=colour, label=label)
    axes.plot(x[~used], y[~used], "o", ms=4, mfc="none", color=colour, alpha=0.6)
