"""A file as a neutron instrument writes it: logs, event banks and detector frames; and how people read such files.

By default 516 MB: 400 logs of 5 KB, 8 banks of 30.7 MB (two columns in chunks of 256 KiB), 128 frames of 2.1 MB
(1024 × 1024 pixels of 16 bits, one chunk each). All of it is random, so that nothing can be guessed; the same seed
makes the same file.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LOG_ENTRIES = 416


@dataclass(frozen=True)
class Shape:
    """How much of everything there is; `pixels` is the edge of a frame."""

    logs: int = 400
    banks: int = 8
    events: int = 3_840_000
    frames: int = 128
    pixels: int = 1024


WHOLE = Shape()
SMALL = Shape(logs=60, banks=2, events=400_000, frames=12, pixels=256)


def make(place: Path, shape: Shape = WHOLE, *, libver: Any = None, compression: str | None = None) -> Path:
    """Write the file at `place`, in the format of `libver` (h5py's word), and return its path."""
    random = np.random.default_rng(20_260)
    more = {"compression": compression} if compression else {}
    with h5py.File(place, "w", libver=libver) as file:
        entry = file.create_group("entry")
        entry.attrs["NX_class"] = "NXentry"
        entry["title"] = "made for measuring"
        logs = entry.create_group("logs")
        for number in range(shape.logs):
            log = logs.create_group(f"log_{number:03}")
            log["time"] = np.arange(LOG_ENTRIES, dtype="f8")
            log["value"] = random.random(LOG_ENTRIES, dtype="f4")
        for number in range(shape.banks):
            bank = entry.create_group(f"bank{number + 1}_events")
            chunk = (min(65_536, shape.events),)
            pixel = random.integers(0, 1 << 20, shape.events, dtype="u4")
            time = random.random(shape.events, dtype="f4")
            for name, data in (("event_id", pixel), ("event_time_offset", time)):
                bank.create_dataset(name, data=data, chunks=chunk, maxshape=(None,), **more)
        detector = entry.create_group("detector")
        edge = shape.pixels
        counts = detector.create_dataset(
            "counts", (shape.frames, edge, edge), "u2", chunks=(1, edge, edge), maxshape=(None, edge, edge), **more
        )
        for number in range(shape.frames):
            counts[number] = random.integers(0, 60_000, (edge, edge), dtype="u2")
    return place


def walk_tree(file: h5py.File) -> list[str]:
    """The names of the groups, and of what lies in the first log."""
    entry = file["entry"]
    return [*entry, *entry["logs"], *entry["logs/log_000"]]


def some_logs(file: h5py.File, count: int = 20) -> list[Any]:
    """Some of the logs, anywhere."""
    names = list(file["entry/logs"])
    chosen = np.random.default_rng(1).choice(len(names), min(count, len(names)), replace=False)
    return [(file[f"entry/logs/{names[at]}/time"][:], file[f"entry/logs/{names[at]}/value"][:]) for at in chosen]


def some_events(file: h5py.File, count: int = 100_000) -> Any:
    """A slice out of the middle of a bank."""
    events = file["entry/bank2_events/event_id"]
    start = len(events) // 2
    return events[start : start + count]


def one_bank(file: h5py.File) -> Any:
    """A whole bank."""
    return [file[f"entry/bank1_events/{name}"][:] for name in ("event_id", "event_time_offset")]


def one_frame(file: h5py.File) -> Any:
    """A frame in the middle."""
    counts = file["entry/detector/counts"]
    return counts[len(counts) // 2]


def random_frames(file: h5py.File, count: int = 64) -> list[Any]:
    """Frames in no order."""
    counts = file["entry/detector/counts"]
    chosen = np.random.default_rng(2).choice(len(counts), min(count, len(counts)), replace=False)
    return [counts[int(at)] for at in chosen]


TRACES: dict[str, Callable[[h5py.File], Any]] = {
    "walk the tree": walk_tree,
    "20 of 400 logs": some_logs,
    "100,000 events": some_events,
    "one bank": one_bank,
    "one frame": one_frame,
    "64 random frames": random_frames,
}
"""What people do with such a file, by name: the rows of the table."""
