"""The folder of the sockets, which may lie where everybody can write: nobody else's is entered."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from jupyter_alc.core.errors import Denied
from jupyter_alc.piezo.control import own_folder

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.unit


def test_a_folder_of_ones_own_is_made_closed_to_others(tmp_path: Path) -> None:
    own_folder(tmp_path / "run/piezo")
    own_folder(tmp_path / "run/piezo")
    assert (tmp_path / "run/piezo").stat().st_mode & 0o777 == 0o700


def test_a_folder_that_others_may_enter_or_a_link_is_refused_with_the_cure(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    (tmp_path / "link").symlink_to("open")
    for name in ("open", "link"):
        with pytest.raises(Denied) as told:
            own_folder(tmp_path / name)
        assert "XDG_RUNTIME_DIR" in told.value.next_step


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make what is somebody else's")
def test_a_folder_below_somebody_elses_is_refused(tmp_path: Path) -> None:
    theirs = tmp_path / "alc-0"
    theirs.mkdir()
    os.chown(theirs, 65534, 65534)
    with pytest.raises(Denied, match="alc-0"):
        own_folder(theirs / "piezo")
