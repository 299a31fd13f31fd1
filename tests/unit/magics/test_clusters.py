"""Starting and stopping a cluster by its name, against a server that answers from a script."""

from __future__ import annotations

import io
from types import SimpleNamespace
from typing import Any

import pytest

from jupyter_alc.core.errors import ArchiveUnreachable, Conflict, NotFound, TooLate, Unavailable
from jupyter_alc.magics.cells import CellProgress
from jupyter_alc.magics.client import ClusterCalls
from jupyter_alc.magics.progress import Lines
from jupyter_alc.piezo.frameworks import Progress as Query

pytestmark = pytest.mark.unit


def cluster(state: str, name: str = "spark", id: str = "c-1", **more: Any) -> dict[str, Any]:
    return {"id": id, "name": name, "state": state, "reason": "", "problem": None, **more}


class Scripted:
    """Answers each verb and path from its own list; the last answer is given for ever."""

    base_path = "/user/ada"

    def __init__(self, **answers: list[Any]) -> None:
        self.answers = answers
        self.asked: list[tuple[str, str, Any]] = []

    def ask(self, verb: str, path: str, body: Any = None, **_: Any) -> Any:
        self.asked.append((verb, path, body))
        name = {
            ("GET", "piezo/clusters"): "list",
            ("POST", "piezo/clusters"): "create",
            ("DELETE", "piezo/clusters/c-1"): "stop",
        }
        given = self.answers[name.get((verb, path), "get")]
        answer = given.pop(0) if len(given) > 1 else given[0]
        if isinstance(answer, Exception):
            raise answer
        return {"clusters": answer} if name.get((verb, path)) == "list" else answer


def calls(**answers: list[Any]) -> tuple[ClusterCalls, Scripted]:
    asking = Scripted(**answers)
    return ClusterCalls(asking, pause=lambda seconds: None), asking


def test_a_new_cluster_is_watched_until_it_is_ready() -> None:
    piezo, asking = calls(list=[[]], create=[cluster("asked")], get=[cluster("starting"), cluster("ready")])
    heard: list[str] = []
    started = piezo.start(workers=2, tell=lambda one: heard.append(one["state"]))
    assert (started.again, started.cluster["state"]) == (False, "ready")
    assert heard == ["asked", "starting", "ready"]
    assert ("POST", "piezo/clusters", {"name": "spark", "workers": 2}) in asking.asked


def test_a_second_start_of_the_same_name_attaches() -> None:
    piezo, asking = calls(list=[[cluster("ready", "other", "c-2"), cluster("ready")]])
    assert piezo.start().again
    assert not [one for one in asking.asked if one[0] == "POST"]


def test_attaching_names_the_options_that_the_running_cluster_does_not_have() -> None:
    running = cluster("ready", options={"workers": 1, "cores_per_worker": 2, "memory_per_worker": "1g"})
    piezo, _ = calls(list=[[running]])
    assert piezo.start(workers=2, cores_per_worker=2, memory_per_worker="2g").unheeded == (
        "workers",
        "memory_per_worker",
    )
    assert piezo.start(workers=1).unheeded == ()


def test_a_failed_cluster_of_the_name_is_cleared_away_first() -> None:
    piezo, asking = calls(
        list=[[cluster("failed")]], stop=[cluster("stopping")], create=[cluster("ready")], get=[NotFound("gone")]
    )
    assert not piezo.start().again
    assert [verb for verb, _, _ in asking.asked] == ["GET", "DELETE", "GET", "POST"]


def test_a_cluster_that_fails_tells_its_own_problem() -> None:
    problem = {"code": "archive_unreachable", "message": "No Java answered.", "next_step": "Ask your operator."}
    piezo, _ = calls(list=[[]], create=[cluster("asked")], get=[cluster("failed", problem=problem)])
    with pytest.raises(ArchiveUnreachable, match="No Java"):
        piezo.start()
    piezo, _ = calls(list=[[]], create=[cluster("failed", reason="out of memory")])
    with pytest.raises(Unavailable, match=r"failed\. Out of memory\."):
        piezo.start()


def test_a_start_that_takes_too_long_goes_on_and_says_so() -> None:
    piezo, _ = calls(list=[[]], create=[cluster("starting", reason="waiting for a worker")])
    with pytest.raises(TooLate, match="Waiting for a worker") as told:
        piezo.start(deadline_seconds=0)
    assert "%piezo status" in told.value.next_step


def test_a_cluster_ended_by_somebody_else_while_starting_is_told() -> None:
    piezo, _ = calls(list=[[]], create=[cluster("asked")], get=[NotFound("gone")])
    with pytest.raises(Conflict, match="was ended"):
        piezo.start()


def test_stopping_waits_until_it_is_gone_and_is_safe_to_repeat() -> None:
    piezo, _ = calls(stop=[cluster("stopping")], get=[cluster("stopping"), cluster("gone")])
    piezo.stop("c-1")
    piezo, _ = calls(stop=[NotFound("gone")])
    piezo.stop("c-1")
    piezo, _ = calls(stop=[cluster("stopping")], get=[cluster("stopping")])
    with pytest.raises(TooLate):
        piezo.stop("c-1", deadline_seconds=0)


def test_the_ui_lies_below_the_address_of_the_notebook() -> None:
    piezo, _ = calls()
    assert piezo.ui_path("c-1") == "/user/ada/jupyter-alc/v1/piezo/clusters/c-1/ui/jobs/"


def query(
    done: int, total: int, *, over: bool = False, operation: str = "o", read: int = 0, failed: bool = False
) -> Query:
    return Query(operation, (), total, done, 0, read, over, failed)


@pytest.mark.parametrize(
    ("error", "failed", "said"),
    [
        (None, False, ""),
        (ValueError(), True, ": the cell failed"),
        (KeyboardInterrupt(), True, ": interrupted"),
        (None, True, ": a query failed"),
    ],
)
def test_the_bar_of_a_cell_ends_with_the_cell_and_says_what_went_wrong(
    error: BaseException | None, failed: bool, said: str
) -> None:
    out = io.StringIO()
    cells = CellProgress(lambda: Lines(out))
    cells.hear(query(0, 0))
    assert out.getvalue() == ""
    cells.hear(query(1, 4, read=2000))
    cells.hear(query(4, 4, over=True, read=2000))
    cells.hear(query(0, 2, operation="p"))
    cells.hear(query(1, 2, operation="p", over=True, failed=failed))
    cells.cell_ends(SimpleNamespace(error_in_exec=error, error_before_exec=None))
    last = out.getvalue().splitlines()[-1]
    assert last == f"Spark: 5 of 6 tasks, 2 kB read{said}"
    cells.cell_ends()
    assert out.getvalue().splitlines()[-1] == last
