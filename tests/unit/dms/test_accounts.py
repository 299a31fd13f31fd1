"""S2, S3: what readers needed, what moved for them, and who they are."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from jupyter_alc.dms.engine.accounts import MOST_OPENERS, NOBODY, Accounts, Opener
from jupyter_alc.dms.sessions import opener_of

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.unit


def test_from_cache_is_what_a_reader_needed_beyond_what_moved_for_it() -> None:
    accounts = Accounts()
    first, second = accounts.share(Opener(10), "runs"), accounts.share(Opener(11), "runs")
    first.need(80)
    first.move(100)
    second.need(80)
    assert [one.cached_bytes for one in accounts.readers()] == [80, 0]
    assert accounts.from_cache_bytes("runs") == 80
    assert accounts.from_cache_bytes("others") == 0


def test_one_reader_of_two_datasets_is_told_once_and_what_one_dataset_over_fetched_hides_nothing_of_the_other() -> None:
    accounts = Accounts()
    accounts.share(Opener(10, name="python"), "runs").need(50)
    accounts.share(Opener(10, name="python"), "raw").move(70)
    (told,) = accounts.readers()
    assert told.as_json() == {
        "sid": 10,
        "since": 0,
        "name": "python",
        "needed_bytes": 50,
        "moved_bytes": 70,
        "cached_bytes": 50,
    }


def test_the_last_readers_are_told_and_earlier_ones_still_count_for_their_dataset() -> None:
    accounts = Accounts()
    for sid in range(1, MOST_OPENERS + 2):
        accounts.share(Opener(sid), "runs").need(1)
    assert len(accounts.readers()) == MOST_OPENERS
    assert accounts.readers()[0].opener.sid == MOST_OPENERS + 1
    assert accounts.from_cache_bytes("runs") == MOST_OPENERS + 1


def test_a_reader_that_got_nothing_is_not_told() -> None:
    accounts = Accounts()
    accounts.share(NOBODY, "runs")
    assert accounts.readers() == []


def test_every_process_of_a_session_is_one_reader_and_another_session_is_another() -> None:
    ask = "import os, sys; from jupyter_alc.dms.sessions import opener_of; print(opener_of(os.getpid()).sid)"

    def sid(*, new: bool) -> int:
        command = [sys.executable, "-c", ask]
        told = subprocess.run(command, check=True, capture_output=True, text=True, start_new_session=new, timeout=60)
        return int(told.stdout)

    mine = opener_of(os.getpid())
    assert mine.sid == os.getsid(0) == sid(new=False)
    assert sid(new=True) != mine.sid


@pytest.mark.parametrize("name", ["python3", "a) b (c", "ünï"])
def test_the_name_of_a_session_is_its_leaders_whatever_it_is(tmp_path: Path, name: str) -> None:
    _process(tmp_path, 5, "child", session=4, started=70)
    _process(tmp_path, 4, name, session=4, started=60)
    assert opener_of(5, tmp_path) == Opener(4, 60, name)


def test_a_session_whose_leader_ended_is_known_by_its_id_and_what_cannot_be_seen_is_nobody(tmp_path: Path) -> None:
    _process(tmp_path, 5, "child", session=4, started=70)
    assert opener_of(5, tmp_path) == Opener(4)
    assert opener_of(6, tmp_path) == opener_of(0, tmp_path) == NOBODY


def _process(proc: Path, pid: int, name: str, *, session: int, started: int) -> None:
    (proc / str(pid)).mkdir()
    rest = ["S", "1", "1", str(session), *["0"] * 15, str(started), *["0"] * 10]
    (proc / str(pid) / "stat").write_text(f"{pid} ({name}) {' '.join(rest)}\n")
