"""The middle of a detector frame, read through an ordinary path so that only its own chunks move."""

from __future__ import annotations

import os
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Final

import h5py
import numpy as np

if TYPE_CHECKING:
    from io import FileIO

INTENSITY: Final = "sasentry01/data/I"


@dataclass(frozen=True, slots=True)
class Window:
    """A rectangle of pixels, half open: rows `top` to `bottom`, columns `left` to `right`."""

    top: int
    bottom: int
    left: int
    right: int


@dataclass(frozen=True, slots=True)
class Touched:
    """What reading a window must touch in the file, in bytes as stored (compressed)."""

    chunks: int
    chunk_bytes: int
    index_bytes: int

    @property
    def total_bytes(self) -> int:
        """Chunks and index together: what a perfect reader moves."""
        return self.chunk_bytes + self.index_bytes


def central(rows: int, columns: int, side: int = 260) -> Window:
    """The window of `side` x `side` pixels in the middle of a frame."""
    top, left = (rows - side) // 2, (columns - side) // 2
    return Window(top=top, bottom=top + side, left=left, right=left + side)


def central_average(path: Path | str, dataset: str = INTENSITY, side: int = 260) -> float:
    """Average the central `side` x `side` pixels that hold a number, in the unit of the file.

    The kernel is told that we read here and there, so that it does not read ahead into chunks nobody asked for.
    """
    with Path(path).open("rb", buffering=0) as raw, h5py.File(_here_and_there(raw), "r") as file:
        frame = file[dataset]
        rows, columns = frame.shape
        window = central(rows, columns, side)
        return float(np.nanmean(frame[window.top : window.bottom, window.left : window.right]))


def _here_and_there(raw: FileIO) -> FileIO:
    os.posix_fadvise(raw.fileno(), 0, 0, os.POSIX_FADV_RANDOM)
    return raw


def touched(path: Path | str, dataset: str = INTENSITY, side: int = 260) -> Touched:
    """Say which stored bytes the central window needs. Reads the file's index but no chunk."""
    with h5py.File(path, "r") as file:
        frame = file[dataset]
        rows, columns = frame.shape
        window = central(rows, columns, side)
        height, width = frame.chunks
        corners = product(_starts(window.top, window.bottom, height), _starts(window.left, window.right, width))
        sizes = [frame.id.get_chunk_info_by_coord(corner).size for corner in corners]
        index = h5py.h5o.get_info(frame.id).meta_size.obj.index_size
    return Touched(chunks=len(sizes), chunk_bytes=sum(sizes), index_bytes=int(index))


def _starts(first: int, stop: int, step: int) -> range:
    """Where the chunks begin that hold pixels first to stop."""
    return range(first // step * step, stop, step)
