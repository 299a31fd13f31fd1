"""An engine with short pauses, for tests that read and write through it."""

from __future__ import annotations

from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

from jupyter_alc.dms.engine.engine import DmsEngine, Tuning

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from jupyter_alc.core.dataset import MountedDataset


@asynccontextmanager
async def running_engine(
    volume: Path, datasets: list[MountedDataset], *, tuning: Tuning | None = None, **more: Any
) -> AsyncIterator[DmsEngine]:
    """Start an engine for ada, and stop it when the block ends."""
    engine = DmsEngine(volume, datasets, user="ada", tuning=tuning or Tuning(settle_seconds=0.05), **more)
    await engine.start()
    try:
        yield engine
    finally:
        await engine.stop()


def cache_on_disk(volume: Path) -> int:
    """The bytes of the disk that a volume's cache takes, its index aside; what goes meanwhile counts no more."""
    total = 0
    for one in volume.glob("cache/v*/*/*.*"):
        with suppress(FileNotFoundError):
            total += one.stat().st_blocks * 512
    return total


async def put(engine: DmsEngine, path: str, data: bytes) -> None:
    """Write a whole file and close it."""
    handle = await engine.open(path, write=True, create=True, truncate=True)
    try:
        await engine.write(handle, 0, data)
    finally:
        await engine.close(handle)


async def get(engine: DmsEngine, path: str) -> bytes:
    """Read a whole file."""
    handle = await engine.open(path)
    try:
        return await engine.read(handle, 0, handle.size)
    finally:
        await engine.close(handle)
