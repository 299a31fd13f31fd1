"""A person's folder on the host: hers from its first moment, and never handed to another."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from jupyter_alc.core.errors import Conflict
from jupyter_alc.vmm.clouds import volumes

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.unit


def test_a_launcher_that_was_killed_while_it_made_a_home_does_not_lock_its_owner_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "chown", killed)
        with pytest.raises(KeyboardInterrupt):
            volumes.host_folder(tmp_path, "ada", "home", os.getuid())
    assert not (tmp_path / "volumes/ada/home").exists()
    made = volumes.host_folder(tmp_path, "ada", "home", os.getuid())
    assert (made.stat().st_mode & 0o777, made.stat().st_uid) == (0o700, os.getuid())
    assert [one.name for one in made.parent.iterdir()] == ["home"]


def test_a_home_is_never_handed_to_another_person(tmp_path: Path) -> None:
    made = volumes.host_folder(tmp_path, "ada", "home", os.getuid())
    assert volumes.host_folder(tmp_path, "ada", "home", os.getuid()) == made
    with pytest.raises(Conflict):
        volumes.host_folder(tmp_path, "ada", "home", os.getuid() + 1)
    made.rmdir()
    made.symlink_to(tmp_path)
    with pytest.raises(Conflict):
        volumes.host_folder(tmp_path, "ada", "home", os.getuid())
