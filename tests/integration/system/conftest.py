"""The real system, once for all tests of a module, as root: only so are two people kept apart."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from day.system import System, Traces
from integration.system.world import Person, World

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    folder = Path(tempfile.mkdtemp(prefix="alck-", dir="/tmp"))
    folder.chmod(0o755)
    system = System(folder / "s", port=8900)
    traces = Traces(system.state)
    try:
        system.start()
        traces.follow()
        ada, brahe = Person(system, "ada"), Person(system, "brahe")
        for person in (ada, brahe):
            person.log_in()
        yield World(system, traces, ada, brahe)
    finally:
        system.stop()
        left = traces.left(system.service_address) if system.facts else {}
        shutil.rmtree(folder)
    assert left == {}, "whichever tests were chosen, nothing is left"
