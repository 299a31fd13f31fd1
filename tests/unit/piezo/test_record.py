from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path

import pytest

from jupyter_alc.core.errors import IllegalMove, Unavailable
from jupyter_alc.core.states import CLUSTER_MOVES, ClusterState
from jupyter_alc.piezo import remains
from jupyter_alc.piezo.record import Cluster, ClusterRecord, Connection, Ending, read_record, write_record

pytestmark = pytest.mark.unit

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


class Stopped:
    """A clock that stands."""

    def __init__(self, now: datetime = NOON) -> None:
        self._now = now

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return 0.0


def record(state: ClusterState = ClusterState.ASKED, created: datetime = NOON) -> ClusterRecord:
    return ClusterRecord(
        id="cluster-unit-test",
        name="spark",
        framework="spark",
        version="4.3.0",
        backend="standalone",
        options={},
        cores=2,
        workers=1,
        created=created.isoformat(),
        changed=created.isoformat(),
        lease_seconds=900,
        socket="/nowhere/x.sock",
        state=state,
    )


LEGAL = {
    ("asked", "starting"),
    ("asked", "gone"),
    ("starting", "ready"),
    ("starting", "failed"),
    ("starting", "stopping"),
    ("ready", "stopping"),
    ("ready", "lost"),
    ("failed", "stopping"),
    ("lost", "stopping"),
    ("stopping", "gone"),
}


@pytest.mark.parametrize(("now", "then"), list(product(ClusterState, ClusterState)))
def test_only_the_moves_of_the_semantics_page_happen(now: ClusterState, then: ClusterState):
    if (now, then) in LEGAL:
        assert record(now).moved(then, NOON).state is then
    else:
        with pytest.raises(IllegalMove):
            record(now).moved(then, NOON)


def test_the_semantics_page_tells_every_state_with_its_moves():
    page = (Path(__file__).parents[3] / "docs/semantics/piezo.md").read_text()
    rows = {row[1].strip(): row[3].strip() for row in (line.split("|") for line in page.splitlines()) if len(row) == 6}
    for state, moves in CLUSTER_MOVES.items():
        assert set(filter(None, rows[state].split(", "))) == set(moves)


def test_the_semantics_page_tells_every_ending():
    page = (Path(__file__).parents[3] / "docs/semantics/piezo.md").read_text()
    assert all(f"| {ending} |" in page for ending in Ending)


def test_the_first_ending_and_the_first_problem_stay():
    broken = record(ClusterState.STARTING).broken(Unavailable("first")).broken(Unavailable("second"))
    moved = broken.moved(ClusterState.FAILED, NOON, ending=Ending.FAILED).moved(
        ClusterState.STOPPING, NOON, ending=Ending.LEASE
    )
    assert moved.ending is Ending.FAILED
    assert moved.problem is not None
    assert moved.problem["message"] == "first"


def test_a_reason_is_said_for_its_own_state_and_what_went_wrong_stays_said():
    ready = record(ClusterState.STARTING).waiting("waiting for executors").moved(ClusterState.READY, NOON)
    stopping = ready.moved(ClusterState.STOPPING, NOON, ending=Ending.STOPPED)
    assert [ready.reason, stopping.reason, stopping.moved(ClusterState.GONE, NOON).reason] == ["", "", ""]
    lost = ready.broken(Unavailable("it died")).moved(ClusterState.LOST, NOON, ending=Ending.LOST)
    assert lost.moved(ClusterState.STOPPING, NOON).moved(ClusterState.GONE, NOON).reason == "it died"
    late = ready.moved(ClusterState.STOPPING, NOON, reason="not heard from", ending=Ending.LEASE)
    assert late.moved(ClusterState.GONE, NOON).reason == "not heard from"


def test_a_record_is_read_back_as_it_was_written(tmp_path: Path):
    told = record(ClusterState.READY).answered(12.345)
    write_record(tmp_path, told)
    assert read_record(tmp_path) == told
    assert (tmp_path / "cluster.json").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"state": "asked"}', '{"state": "dancing", "ending": null}'])
def test_a_record_that_cannot_be_read_is_no_record(tmp_path: Path, text: str):
    (tmp_path / "cluster.json").write_text(text)
    assert read_record(tmp_path) is None


def test_a_cluster_comes_through_the_socket_as_it_is():
    seen = Cluster(replace(record(ClusterState.GONE), ending=Ending.LEASE), 1, "2026-11-24T12:15:00+00:00", ui=True)
    assert Cluster.from_json(record(), seen.as_json()) == seen


def test_a_connection_does_not_show_its_token():
    assert "secret" not in repr(Connection("sc://localhost:1/;token=secret", "http://127.0.0.1:2"))


def test_a_record_without_supervisor_is_left_alone_for_30_seconds_and_then_gone(tmp_path: Path):
    write_record(tmp_path, record())
    waiting = remains.sweep(tmp_path, Stopped(NOON + timedelta(seconds=29)))
    assert waiting is not None
    assert waiting.state is ClusterState.ASKED
    swept = remains.sweep(tmp_path, Stopped(NOON + timedelta(seconds=31)))
    assert swept is not None
    assert (swept.state, swept.ending) == (ClusterState.GONE, Ending.NEVER_STARTED)
    assert read_record(tmp_path) == swept


@pytest.mark.parametrize(
    ("state", "ending"),
    [
        (ClusterState.STARTING, Ending.FAILED),
        (ClusterState.READY, Ending.LOST),
        (ClusterState.LOST, None),
        (ClusterState.STOPPING, None),
    ],
)
def test_a_cluster_whose_supervisor_died_is_brought_to_its_end(
    tmp_path: Path, state: ClusterState, ending: Ending | None
):
    for name in ("conf", "scratch", "logs", "events"):
        (tmp_path / name).mkdir()
    write_record(tmp_path, record(state))
    swept = remains.sweep(tmp_path, Stopped())
    assert swept is not None
    assert (swept.state, swept.ending) == (ClusterState.GONE, ending)
    assert {each.name for each in tmp_path.iterdir()} == {"cluster.json", "lock", "logs", "events"}


def test_a_cluster_whose_supervisor_lives_is_left_alone(tmp_path: Path):
    write_record(tmp_path, record(ClusterState.READY))
    with remains.hold(tmp_path) as ours:
        assert ours
        assert remains.sweep(tmp_path, Stopped()) == record(ClusterState.READY)


def test_records_of_gone_clusters_are_kept_for_seven_days(tmp_path: Path):
    folder = tmp_path / "x"
    folder.mkdir()
    gone = record(ClusterState.STOPPING).moved(ClusterState.GONE, NOON)
    write_record(folder, gone)
    assert remains.sweep(folder, Stopped(NOON + timedelta(days=6.9))) == gone
    assert remains.sweep(folder, Stopped(NOON + timedelta(days=7.1))) is None
    assert not folder.exists()
