"""Every curve of a file, read by sasdata's own loader; the only door to sasdata."""

from __future__ import annotations

import logging
import tempfile
import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from sasdata.dataloader.data_info import Data1D
from sasdata.dataloader.loader import Loader

from jupyter_alc.core.errors import BadInput
from jupyter_alc.example.guinier import Array, Curve

if TYPE_CHECKING:
    from collections.abc import Iterator

# What a format fixes though sasdata 0.11.0 does not tell: its Anton Paar reader fails on its own footer
# (`Reader` has no `set_xml_string`), plain columns are read instead, and the format's 1/nm is lost.
_UNIT_OF_FORMAT: Final = {".pdh": "1/nm"}
_PLAIN_READERS: Final = frozenset({"ASCII", "CSV"})
_PER_ANGSTROM: Final = {"1/Å": 1.0, "assumed 1/Å": 1.0, "1/nm": 0.1}


def read_curves(name: str, content: bytes) -> list[Curve]:
    """Give every curve in the file `name` with this content, with q in 1/Å.

    Raises `BadInput` where the loader finds no curve in it; the sentence says what the loader said.
    """
    with tempfile.TemporaryDirectory(prefix="curves-") as folder, _quiet():
        path = Path(folder) / Path(name).name  # the loader goes by the ending
        path.write_bytes(content)
        loaded = Loader().load(str(path))
    curves = [_curve(name, number, told) for number, told in enumerate(loaded, start=1) if _is_curve(told)]
    if len(curves) != len(loaded) or not curves:
        raise BadInput(f"sasdata reads no curve here: {_complaint(loaded)}.", next_step="Look at the file's format.")
    return curves


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the loader's warnings and log while it tries one reader after the other."""
    log = logging.getLogger("sasdata")
    before = log.disabled, log.level
    log.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.disabled, log.level = before


def _is_curve(told: Any) -> bool:
    return isinstance(told, Data1D) and np.size(_array(told.x)) == np.size(_array(told.y)) > 0


def _complaint(loaded: list[Any]) -> str:
    """The last thing the loader complained of, on one line, without the temporary path."""
    said = [str(error) for told in loaded for error in getattr(told, "errors", None) or []]
    words = " ".join((said or ["it holds no one-dimensional data"])[-1].split())
    return words.rstrip(".")[:160]


def _curve(name: str, number: int, told: Any) -> Curve:
    unit = _unit(name, told)
    return Curve(
        file=name,
        number=number,
        q=_array(told.x) * _PER_ANGSTROM[unit],
        intensity=_array(told.y),
        intensity_error=_array(told.dy),
        q_unit=unit,
        title=str(told.title or "").strip(),
        sample=str(told.sample.name or told.sample.ID or "").strip(),
    )


def _unit(name: str, told: Any) -> str:
    """The unit of q in the file. sasdata converts what the file states to 1/Å, and takes plain columns to be in it."""
    if told.meta_data.get("loader") not in _PLAIN_READERS:
        return "1/Å"
    return _UNIT_OF_FORMAT.get(Path(name).suffix.lower(), "assumed 1/Å")


def _array(values: Any) -> Array:
    """The loader's column; it marks a missing one by None, plain or wrapped in an array without length."""
    return np.asarray(values, dtype=np.float64) if np.ndim(values) == 1 else np.empty(0)
