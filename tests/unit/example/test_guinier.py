"""Guinier's law on made-up curves whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_alc.example.guinier import Curve, Fit, NoFit, fit

pytestmark = pytest.mark.unit


def curve(q: np.ndarray, intensity: np.ndarray, error: np.ndarray | None = None) -> Curve:
    return Curve("made.txt", 1, q=q, intensity=intensity, intensity_error=np.array([]) if error is None else error)


def law(q: np.ndarray, rg: float, i0: float = 10.0) -> np.ndarray:
    return i0 * np.exp(-((q * rg) ** 2) / 3)


@given(rg=st.floats(1, 5000), i0=st.floats(1e-3, 1e9), weighted=st.booleans())
def test_finds_the_radius_and_i0_of_a_curve_that_follows_the_law(rg: float, i0: float, weighted: bool) -> None:
    q = np.linspace(0.05, 3, 64) / rg  # none of them at 1.3 exactly
    intensity = law(q, rg, i0)
    found = fit(curve(q, intensity, 0.02 * intensity if weighted else None))
    assert isinstance(found, Fit)
    assert found.rg == pytest.approx(rg, rel=1e-6)
    assert found.i0 == pytest.approx(i0, rel=1e-6)
    assert found.q_max * found.rg <= 1.3 < q[found.points] * found.rg
    assert not found.weak


def test_the_error_is_that_of_the_weighted_slope() -> None:
    """Of many noisy copies, the radii scatter as widely as the fit says."""
    rng = np.random.default_rng(7)
    q = np.linspace(0.0005, 0.013, 40)
    clean = law(q, 100.0)
    fits = [fit(curve(q, clean + rng.normal(0, 0.01 * clean), 0.01 * clean)) for _ in range(400)]
    radii = [found.rg for found in fits if isinstance(found, Fit)]
    assert len(radii) == 400
    assert np.std(radii) == pytest.approx(np.mean([f.rg_error for f in fits if isinstance(f, Fit)]), rel=0.15)
    assert np.mean([f.chi2 for f in fits if isinstance(f, Fit) and f.chi2 is not None]) == pytest.approx(1, rel=0.1)


def test_a_curve_without_errors_has_no_chi2() -> None:
    q = np.linspace(0.001, 0.01, 30)
    found = fit(curve(q, law(q, 100.0)))
    assert isinstance(found, Fit)
    assert found.chi2 is None


def test_points_without_a_logarithm_or_a_weight_are_left_out() -> None:
    q = np.linspace(0.001, 0.012, 30)
    intensity, error = law(q, 100.0), 0.01 * law(q, 100.0)
    intensity[3], intensity[4], error[5] = -1.0, np.nan, 0.0
    found = fit(curve(q, intensity, error))
    assert isinstance(found, Fit)
    assert found.points == 27
    assert found.rg == pytest.approx(100, rel=1e-6)


@pytest.mark.parametrize(
    ("q", "intensity", "words"),
    [
        (np.linspace(-1, 1, 20), np.ones(20), "negative"),
        (np.linspace(0.001, 0.01, 4), np.ones(4), "only 4 usable points"),
        (np.linspace(0.001, 0.01, 20), np.linspace(1, 2, 20), "does not fall"),
        (np.linspace(0.001, 0.01, 20), np.ones(20), "does not fall"),
        (np.full(20, 0.01), np.linspace(2, 1, 20), "does not fall"),
        (np.linspace(0.1, 1, 20), law(np.linspace(0.1, 1, 20), 20.0), "over 1.3"),
    ],
)
def test_a_curve_without_a_guinier_range_says_why(q: np.ndarray, intensity: np.ndarray, words: str) -> None:
    found = fit(curve(q, intensity))
    assert isinstance(found, NoFit)
    assert words in found.reason


def test_scatter_around_a_flat_line_is_called_weak() -> None:
    rng = np.random.default_rng(3)
    q = np.linspace(0.01, 1, 200)
    found = fit(curve(q, 10 - 0.3 * q + rng.normal(0, 1, 200)))
    assert isinstance(found, NoFit) or found.weak
