"""One place that knows how an engine is put together, for the daemon and for a process on its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jupyter_alc.dms.engine.engine import DmsEngine, Tuning

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from jupyter_alc.core.dataset import MountedDataset
    from jupyter_alc.dms.engine.interface import Engine


def make_engine(datasets: Sequence[MountedDataset], volume: Path, user: str, quota_bytes: int) -> Engine:
    """Make the engine of these datasets on a volume; it is not started."""
    return DmsEngine(volume, datasets, user=user, tuning=Tuning(quota_bytes=quota_bytes))
