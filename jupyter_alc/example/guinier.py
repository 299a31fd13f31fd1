"""Guinier's law: the radius of gyration of what scatters, from the first part of a curve.

Near q = 0 a dilute scatterer follows ln I = ln I0 - (q·Rg)²/3. A straight line through ln I over q² therefore gives Rg.
The law holds only for small q·Rg, so the range of points that may be used depends on the answer. Our criterion:

    the longest range of points, from the lowest q on, with q_max·Rg <= 1.3, at least 5 points and a falling line.

A curve without such a range gets no radius but the reason. A range can meet the criterion by the scatter of a flat
curve; such a fit is called weak, and kept. Everything here is pure: arrays in, values out.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

LARGEST_Q_RG: Final = 1.3
FEWEST_POINTS: Final = 5
LEAST_EXPLAINED: Final = 0.5


@dataclass(frozen=True, slots=True)
class Curve:
    """One measured curve: intensity over the scattering vector q in 1/Å.

    `number` counts from 1 within the file. `intensity_error` is empty where the file gives none. `q_unit` is the unit
    the file holds, or `assumed 1/Å` where it does not say.
    """

    file: str
    number: int
    q: Array = field(repr=False)
    intensity: Array = field(repr=False)
    intensity_error: Array = field(repr=False)
    q_unit: str = "assumed 1/Å"
    title: str = ""
    sample: str = ""


@dataclass(frozen=True, slots=True)
class Fit:
    """A Guinier fit: radius and its standard error in Å, I0 in the curve's unit, q_max in 1/Å.

    `chi2` is the reduced chi², None where the curve has no errors to weigh with. `explained` is the share (0 to 1) of
    the variation of ln I that the line accounts for.
    """

    rg: float
    rg_error: float
    i0: float
    chi2: float | None
    explained: float
    points: int
    q_max: float

    @property
    def weak(self) -> bool:
        """Whether the range meets the criterion and yet hardly falls: scatter around a flat line, not a size."""
        return self.explained < LEAST_EXPLAINED or self.rg_error > self.rg


@dataclass(frozen=True, slots=True)
class NoFit:
    """Why a curve has no Guinier radius."""

    reason: str


@dataclass(frozen=True, slots=True)
class _Line:
    """A weighted straight line y = a + b·x, with the variance of b, its chi² and that of a flat line."""

    points: int
    a: float
    b: float
    b_variance: float
    chi2: float
    flat_chi2: float


def fit(curve: Curve) -> Fit | NoFit:
    """Fit Guinier's law by the criterion above; points are weighted by their errors where the curve has them."""
    if np.any(curve.q < 0):
        return NoFit("q takes negative values: not a scattering curve")
    weighted = curve.intensity_error.size == curve.q.size and bool(np.any(curve.intensity_error > 0))
    use = _usable(curve, weighted=weighted)
    q, intensity = curve.q[use], curve.intensity[use]
    if q.size < FEWEST_POINTS:
        return NoFit(f"only {q.size} usable points, {FEWEST_POINTS} are needed")
    x, y = q**2, np.log(intensity)
    weight = (intensity / curve.intensity_error[use]) ** 2 if weighted else np.ones_like(q)
    points = _longest(q, _slopes(x, y, weight))
    if points == 0:
        return NoFit(_why_none(q, _slopes(x, y, weight)))
    return _as_fit(_line(x[:points], y[:points], weight[:points]), float(q[points - 1]), weighted=weighted)


def _usable(curve: Curve, *, weighted: bool) -> NDArray[np.bool_]:
    """Points that have a logarithm and, where the curve has errors, a weight."""
    use = np.isfinite(curve.q) & np.isfinite(curve.intensity) & (curve.q > 0) & (curve.intensity > 0)
    if weighted:
        use &= np.isfinite(curve.intensity_error) & (curve.intensity_error > 0)
    return use


def _slopes(x: Array, y: Array, weight: Array) -> Array:
    """Slope of the line through the first n points, for every n at once; nan where the points share one x."""
    scale = float(x.max())
    u, v = x / scale, y - y[0]
    w, wu, wv = np.cumsum(weight), np.cumsum(weight * u), np.cumsum(weight * v)
    wuu, wuv = np.cumsum(weight * u * u), np.cumsum(weight * u * v)
    spread = w * wuu - wu**2
    with np.errstate(divide="ignore", invalid="ignore"):
        slopes: Array = np.where(spread > 0, (w * wuv - wu * wv) / spread, np.nan) / scale
    return slopes


def _longest(q: Array, slopes: Array) -> int:
    """How many points the longest range of the criterion has; 0 for none."""
    with np.errstate(invalid="ignore"):
        good = (slopes < 0) & (q * np.sqrt(np.abs(3 * slopes)) <= LARGEST_Q_RG)
    good[: FEWEST_POINTS - 1] = False
    return int(np.flatnonzero(good)[-1]) + 1 if good.any() else 0


def _line(x: Array, y: Array, weight: Array) -> _Line:
    """The line itself, with centred sums."""
    total = weight.sum()
    x_mean, y_mean = (weight * x).sum() / total, (weight * y).sum() / total
    spread = (weight * (x - x_mean) ** 2).sum()
    b = (weight * (x - x_mean) * (y - y_mean)).sum() / spread
    a = y_mean - b * x_mean
    chi2 = (weight * (y - a - b * x) ** 2).sum()
    flat = (weight * (y - y_mean) ** 2).sum()
    return _Line(x.size, a=float(a), b=float(b), b_variance=float(1 / spread), chi2=float(chi2), flat_chi2=float(flat))


def _as_fit(line: _Line, q_max: float, *, weighted: bool) -> Fit:
    """Turn slope and intercept into radius and I0; without weights the scatter of the points gives the error."""
    rg = (-3 * line.b) ** 0.5
    reduced = line.chi2 / (line.points - 2)
    variance = line.b_variance if weighted else line.b_variance * reduced
    return Fit(
        rg=rg,
        rg_error=1.5 * variance**0.5 / rg,
        i0=float(np.exp(line.a)),
        chi2=reduced if weighted else None,
        explained=1 - line.chi2 / line.flat_chi2,
        points=line.points,
        q_max=q_max,
    )


def _why_none(q: Array, slopes: Array) -> str:
    """Say why no range meets the criterion."""
    start = slopes[FEWEST_POINTS - 1]
    if not start < 0:
        return "the intensity does not fall at low q"
    reach = float(q[FEWEST_POINTS - 1] * np.sqrt(-3 * start))
    return f"q·Rg is {reach:.2f} after the first {FEWEST_POINTS} points already, over {LARGEST_Q_RG}"
