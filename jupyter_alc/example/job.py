"""The Spark job: one row for every curve of every file, read where the executor runs.

`analyse` is what `DataFrame.mapInPandas` calls in the executors. It travels by name, so the package is installed there.
"""

from __future__ import annotations

import math
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Final

import fsspec
import pandas as pd

from jupyter_alc.core.errors import AlcError
from jupyter_alc.example.curves import read_curves
from jupyter_alc.example.guinier import Curve, Fit, fit

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

COLUMNS: Final[Mapping[str, str]] = {
    "file": "string",
    "curve": "int",
    "title": "string",
    "sample": "string",
    "points": "int",
    "q_min": "double",
    "q_max": "double",
    "q_unit": "string",
    "rg": "double",
    "rg_error": "double",
    "chi2": "double",
    "i0": "double",
    "explained": "double",
    "points_used": "int",
    "q_max_used": "double",
    "weak": "boolean",
    "reason": "string",
}
SCHEMA: Final = ", ".join(f"{name} {kind}" for name, kind in COLUMNS.items())


def inputs(url: str) -> pd.DataFrame:
    """List the files of a folder: url, file, size_bytes and version (the archive's token), sorted by name.

    `url` is anything fsspec opens, such as `dms://sans-examples/1d_data`. Reads no file.
    """
    fs, root = fsspec.core.url_to_fs(url)
    found = fs.find(root, withdirs=False, detail=True)
    rows = [
        {
            "url": fs.unstrip_protocol(path),
            "file": PurePosixPath(path).name,
            "size_bytes": int(info["size"] or 0),
            "version": version(info),
        }
        for path, info in sorted(found.items())
    ]
    return pd.DataFrame(rows, columns=["url", "file", "size_bytes", "version"])


def version(info: Mapping[str, Any]) -> str:
    """The version token in what fsspec says of a file: an archive's own if there is one, else the time it changed."""
    for key in ("token", "ETag", "etag", "version", "mtime", "created"):
        if info.get(key):
            return f"{key}:{info[key]}" if key in {"mtime", "created"} else str(info[key])
    return ""


def analyse(batches: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
    """Fetch the files of each batch (columns `url`, `file`) and give one row per curve, in the columns of `SCHEMA`."""
    for batch in batches:
        rows = [row for url, file in zip(batch["url"], batch["file"], strict=True) for row in analyse_file(url, file)]
        yield pd.DataFrame(rows, columns=list(COLUMNS))


def analyse_file(url: str, file: str) -> list[dict[str, Any]]:
    """One row per curve; a file that cannot be fetched or read gives one row, curve 0, with the reason."""
    try:
        fs, path = fsspec.core.url_to_fs(url)
        curves = read_curves(file, fs.cat_file(path))
    except (AlcError, OSError) as error:
        return [{**_nothing(), "file": file, "reason": str(error)}]
    return [row(curve) for curve in curves]


def row(curve: Curve) -> dict[str, Any]:
    """One curve's line of the result."""
    known = {
        **_nothing(),
        "file": curve.file,
        "curve": curve.number,
        "title": curve.title,
        "sample": curve.sample,
        "points": int(curve.q.size),
        "q_min": float(curve.q.min()),
        "q_max": float(curve.q.max()),
        "q_unit": curve.q_unit,
    }
    result = fit(curve)
    return {**known, **_fitted(result)} if isinstance(result, Fit) else {**known, "reason": result.reason}


def _fitted(result: Fit) -> dict[str, Any]:
    return {
        "rg": result.rg,
        "rg_error": result.rg_error,
        "chi2": math.nan if result.chi2 is None else result.chi2,
        "i0": result.i0,
        "explained": result.explained,
        "points_used": result.points,
        "q_max_used": result.q_max,
        "weak": result.weak,
    }


def _nothing() -> dict[str, Any]:
    empty = {"string": "", "int": 0, "double": math.nan, "boolean": False}
    return {name: empty[kind] for name, kind in COLUMNS.items()}
