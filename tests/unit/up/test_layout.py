"""Files that root writes into folders of the services."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from jupyter_alc.cli.instance.layout import write_private

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.unit


def test_a_link_that_was_put_where_a_file_is_written_leads_nowhere(tmp_path: Path) -> None:
    theirs = tmp_path / "shadow"
    theirs.write_text("not yours")
    for name in ("catalogue.yaml", f".catalogue.yaml.{os.getpid()}"):
        (tmp_path / name).symlink_to(theirs)
    write_private(tmp_path / "catalogue.yaml", "datasets: []", os.getuid())
    assert theirs.read_text() == "not yours"
    made = tmp_path / "catalogue.yaml"
    assert (made.is_symlink(), made.read_text(), made.stat().st_mode & 0o777) == (False, "datasets: []", 0o600)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["catalogue.yaml", "shadow"]
