"""The list of unsent files cannot be read any more: what was closed is still there, is sent, and everybody is told."""

from __future__ import annotations

import errno
import os

import pytest

from jupyter_alc.dms.engine.engine import Tuning
from jupyter_alc.testing.engines import put, running_engine

pytestmark = pytest.mark.integration

LATER = Tuning(settle_seconds=60)


@pytest.fixture
async def staging(tmp_path, dataset, behind):
    """A volume with two unsent files, one of which replaces what the archive has; the queue is then damaged."""
    (behind / "there").write_bytes(b"theirs")
    async with running_engine(tmp_path / "volume", [dataset], tuning=LATER) as engine:
        await put(engine, "ds/new", b"new")
        await put(engine, "ds/old name", b"ours")
        await engine.rename("ds/old name", "ds/there")
    staging = tmp_path / "volume/staging"
    queue = staging / "queue.sqlite"
    queue.write_bytes(b"neither rows nor pages " * (queue.stat().st_size // 23))
    return staging


async def test_what_was_closed_is_sent_beside_what_the_archive_has(tmp_path, dataset, behind, staging):
    async with running_engine(tmp_path / "volume", [dataset]) as engine:
        told = engine.status()[0].problem
        assert told["code"] == "bad_file"
        assert f"in {staging} was damaged and is kept as queue.sqlite.damaged-" in told["message"]
        assert told["message"].endswith("2 unsent files were found again, and none of their data is lost.")
        assert told["next_step"].startswith("Compare what arrives as <name>.recovered-<time>")
        assert await engine.flush(20) == []
    found = {one.name.partition(".recovered-")[0]: one.read_bytes() for one in behind.glob("*.recovered-*")}
    assert found == {"new": b"new", "there": b"ours"}
    assert (behind / "there").read_bytes() == b"theirs"
    assert len(list(staging.glob("queue.sqlite.damaged-*"))) == 1


@pytest.mark.parametrize("lose", [lambda queue: os.truncate(queue, 0), os.unlink], ids=["empty", "gone"])
async def test_a_queue_without_a_row_beside_data_is_a_lost_one(tmp_path, dataset, behind, staging, lose):
    lose(staging / "queue.sqlite")
    async with running_engine(tmp_path / "volume", [dataset]) as engine:
        assert f"in {staging} was gone; 2 unsent files were found again" in engine.status()[0].problem["message"]
        assert await engine.flush(20) == []
    assert sorted(one.read_bytes() for one in behind.glob("*.recovered-*")) == [b"new", b"ours"]


async def test_data_whose_name_is_lost_is_kept_and_counted(tmp_path, dataset, behind, monkeypatch, staging):
    def none(*_):
        raise OSError(errno.ENODATA, "none")

    monkeypatch.setattr(os, "getxattr", none)
    for _ in range(2):  # the next start does not take it for data that was never promised
        async with running_engine(tmp_path / "volume", [dataset]) as engine:
            told = engine.status()[0].problem
        assert told["next_step"].endswith("2 unsent files without a name stay there: ask the facility's support.")
        assert sorted(one.read_bytes() for one in staging.glob("nameless-*")) == [b"new", b"ours"]
    assert [one.name for one in behind.iterdir()] == ["there"]
