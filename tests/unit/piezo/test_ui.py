from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from jupyter_alc.piezo.frameworks.spark import SparkFramework, progress_of
from jupyter_alc.piezo.ui import needs_rewriting, rewritten

if TYPE_CHECKING:
    from jupyter_alc.piezo.frameworks import Progress

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    "path", ["/static/utils.js", "static/log-view.js?v=1", "/static/stagepage.js", "/static/environmentpage.js"]
)
def test_the_four_scripts_are_known(path: str):
    assert needs_rewriting(path)


@pytest.mark.parametrize(
    "path", ["/static/jquery-3.5.1.min.js", "/static/webui.js", "/jobs/", "", "/static/utils.js/x"]
)
def test_other_files_pass_untouched(path: str):
    assert not needs_rewriting(path)


def test_searches_for_proxy_and_history_find_nothing_afterwards():
    script = b"""var ind = words.indexOf("proxy"); a.indexOf('history'); b.indexOf("proxyBase"); // history"""
    assert rewritten(script) == b"""var ind = words.indexOf("/"); a.indexOf("/"); b.indexOf("proxyBase"); // history"""


class Stage:
    stage_id, num_tasks, num_completed_tasks, num_bytes_read, done = 1, 49, 25, 7, False


def test_progress_ends_full_though_skipped_stages_never_finish():
    under_way = progress_of([Stage()], 2, "op", done=False)
    assert (under_way.tasks, under_way.tasks_done, under_way.tasks_running, under_way.bytes_read) == (49, 25, 2, 7)
    ended = progress_of([Stage()], 2, "op", done=True)
    assert (ended.tasks_done, ended.tasks_running, ended.done) == (49, 0, True)


class Session:
    """Reports as pyspark does: a failed query ends like a good one, while its error passes through."""

    def registerProgressHandler(self, handler: Any) -> None:  # noqa: N802
        self.tell = handler

    def run(self, operation: str, error: Exception | None = None) -> None:
        try:
            self.tell(stages=[Stage()], inflight_tasks=1, operation_id=operation, done=False)
            if error:
                raise error
        finally:
            self.tell(stages=[Stage()], inflight_tasks=1, operation_id=operation, done=True)


def test_a_failed_query_is_not_told_as_complete() -> None:
    told: list[Progress] = []
    session = Session()
    SparkFramework({}).on_progress(session, told.append)
    session.run("good")
    with pytest.raises(ValueError, match="bad"):
        session.run("bad", ValueError("bad"))
    try:
        raise ValueError  # noqa: TRY301
    except ValueError:
        session.run("good while another error is handled")
    ends = {one.operation: (one.tasks_done, one.failed) for one in told if one.done}
    assert ends == {"good": (49, False), "bad": (25, True), "good while another error is handled": (49, False)}
