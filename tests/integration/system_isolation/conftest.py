"""The real system, once for all tests of this folder."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from day.system import System
from integration.system_isolation.two_people import Someone, TwoPeople

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="package")
def two() -> Iterator[TwoPeople]:
    if os.geteuid() != 0:
        pytest.skip("without root one person works alone")
    folder = Path(tempfile.mkdtemp(prefix="alct-", dir="/tmp"))
    folder.chmod(0o755)
    system = System(folder / "s", port=8860)
    try:
        system.start()
        ada, brahe = Someone(system, "ada"), Someone(system, "brahe")
        for one in (ada, brahe):
            one.log_in()
            one.start()
        for one in (ada, brahe):
            one.wait_until_ready()
        yield TwoPeople(system, ada, brahe)
    finally:
        system.stop()
        shutil.rmtree(folder)
