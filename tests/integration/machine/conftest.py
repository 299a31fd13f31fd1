"""Fixtures: a launcher as root, and the small VMM its machines call."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from typing import TYPE_CHECKING

from machine_world import Host, Vmm, serve_vmm

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator


@pytest.fixture
def short_folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="alct-", dir="/tmp"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def host(short_folder: Path) -> Iterator[Host]:
    one = Host(short_folder)
    one.start()
    try:
        yield one
    finally:
        one.close()


@pytest.fixture
async def vmm(host: Host) -> AsyncIterator[Vmm]:
    async with serve_vmm(host.told["service_address"]) as one:
        yield one
