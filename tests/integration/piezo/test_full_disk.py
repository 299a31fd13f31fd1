"""A full home: no cluster is begun there, or it ends at once; in words, and nothing of it is left."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from jupyter_alc.core.errors import NoSpace
from jupyter_alc.core.states import ClusterState
from jupyter_alc.testing.backends import run
from tests.integration.piezo.conftest import Ground, make_ground

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.integration, pytest.mark.root, pytest.mark.spark]


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[Ground]:
    home = tmp_path / "home"
    home.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m,mode=700", "tmpfs", str(home)], check=True)
    yield make_ground(home)
    subprocess.run(["umount", "-l", str(home)], check=True)


def fill(ground: Ground, *, leave: int) -> Path:
    """Fill the disk but for `leave` bytes; the answer is the file to be removed for room."""
    ground.state.mkdir(parents=True, exist_ok=True)
    seen = os.statvfs(ground.state)
    others = ground.state / "others"
    others.write_bytes(bytes(seen.f_bavail * seen.f_frsize - leave))
    return others


def test_where_not_even_a_record_fits_nothing_is_begun(ground: Ground):
    fill(ground, leave=0)
    with pytest.raises(NoSpace) as told:
        run(ground.clusters.create("cluster-none", {}))
    assert str(told.value).endswith(f"there is no room for a cluster's files in {ground.state}/clusters.")
    assert told.value.next_step == "Delete files you do not need there, then start a cluster again."
    assert list((ground.state / "clusters").iterdir()) == []
    assert run(ground.clusters.list()) == []


def test_where_its_programs_find_no_room_it_ends_and_says_why(ground: Ground):
    others = fill(ground, leave=3 * 4096)
    run(ground.clusters.create("cluster-half", {}))
    gone = ground.gone("cluster-half")
    assert (gone.state, gone.record.ending) == (ClusterState.GONE, "failed")
    assert gone.record.problem is not None
    assert gone.record.problem["code"] == "no_space"
    assert gone.record.problem["next_step"].startswith("Delete files you do not need")
    others.unlink()
    assert [one.state for one in run(ground.clusters.list())] == [ClusterState.GONE]
