"""A run's results as ordinary files in one folder: table, plots, and a manifest of where they came from."""

from __future__ import annotations

import hashlib
import json
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, Final

from jupyter_alc.example.guinier import FEWEST_POINTS, LARGEST_Q_RG

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from pathlib import Path

    import pandas as pd

CRITERION: Final = (
    f"longest range of points from the lowest q on with q_max·Rg <= {LARGEST_Q_RG}, "
    f"at least {FEWEST_POINTS} points and a negative slope of ln I over q²; points weighted by their errors where given"
)
_SOFTWARE: Final = ("jupyter-alc", "sasdata", "pyspark", "numpy", "pandas", "pyarrow", "h5py", "matplotlib")


def write_results(
    folder: Path,
    table: pd.DataFrame,
    figures: Mapping[str, Any],
    inputs: pd.DataFrame,
    *,
    made: datetime,
    measured: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Write `rg.parquet`, `rg.csv`, `<name>.png` for each figure and, last, `manifest.json` into a new folder.

    `inputs` has url, file, size_bytes and version; `measured` is added to the manifest as it is. Returns the manifest.
    Raises FileExistsError if the folder is there: a run is never overwritten.
    """
    folder.mkdir(parents=True)
    table = table.copy(deep=False)
    table.attrs = {}  # Spark leaves plan metrics there, which Parquet cannot hold
    table.to_parquet(folder / "rg.parquet", index=False)
    table.to_csv(folder / "rg.csv", index=False)
    for name, figure in figures.items():
        figure.savefig(folder / f"{name}.png", dpi=150, bbox_inches="tight")
    manifest = {
        "run": folder.name,
        "made": made.isoformat(timespec="seconds"),
        "criterion": CRITERION,
        "counts": counts(table),
        "measured": dict(measured or {}),
        "inputs": inputs.to_dict(orient="records"),
        "software": software(),
        "results": [_written(path) for path in sorted(folder.iterdir())],
    }
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return manifest


def counts(table: pd.DataFrame) -> dict[str, int]:
    """How many files and curves there were, and what became of them; the curves add up."""
    curves = table[table["curve"] > 0]
    return {
        "files": int(table["file"].nunique()),
        "files_refused": int((table["curve"] == 0).sum()),
        "curves": len(curves),
        "curves_with_radius": int(curves["rg"].notna().sum()),
        "curves_with_weak_radius": int(curves["weak"].sum()),
        "curves_without_radius": int(curves["rg"].isna().sum()),
    }


def software() -> dict[str, str]:
    """The versions that made this result."""
    return {"python": platform.python_version(), **{name: _version(name) for name in _SOFTWARE}}


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "not installed"


def _written(path: Path) -> dict[str, Any]:
    content = path.read_bytes()
    return {"file": path.name, "size_bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
