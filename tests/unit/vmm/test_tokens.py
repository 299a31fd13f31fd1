"""The secret that Hub and VMM share: made once, whole, and for its owner only."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from jupyter_alc.vmm.tokens import hub_secret

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.unit


def test_the_secret_is_made_once_and_closed_to_others(tmp_path: Path) -> None:
    path = tmp_path / "vmm/hub-secret"
    first = hub_secret(path)
    assert len(first) > 40
    assert hub_secret(path) == first
    assert path.stat().st_mode & 0o777 == 0o600
    assert [one.name for one in path.parent.iterdir()] == ["hub-secret"]


def test_what_a_killed_maker_left_under_our_own_number_is_no_obstacle(tmp_path: Path) -> None:
    """In a sandbox process ids begin anew, so the next one may well have the same."""
    left = tmp_path / f".hub-secret.{os.getpid()}"
    left.write_text("half")
    assert hub_secret(tmp_path / "hub-secret") != "half"
    assert not left.exists()
