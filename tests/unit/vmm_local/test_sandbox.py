"""A sandbox that cannot be made: told in time, and nothing of it stays."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from jupyter_alc.core.errors import Missing
from jupyter_alc.vmm.clouds import sandbox

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("does", ["exec sleep 600", "exit 1", "echo nonsense"])
def test_a_sandbox_that_is_not_made_is_told_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, does: str) -> None:
    stand_in = tmp_path / "bwrap"
    stand_in.write_text(f"#!/bin/sh\necho $$ > {tmp_path}/pid\n{does}\n")
    stand_in.chmod(0o755)
    monkeypatch.setattr(sandbox, "START_SECONDS", 3.0)
    wanted = sandbox.Sandbox(("true",), tmp_path, "host", environment={"PATH": f"{tmp_path}:/usr/bin:/bin"})
    with pytest.raises(Missing):
        sandbox.start(wanted, subprocess.DEVNULL)
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)
