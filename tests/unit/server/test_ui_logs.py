"""Which links of Spark's UI are led to the user's own server, and which address is asked for a log."""

from __future__ import annotations

import json

import pytest

from jupyter_alc.server.ui_logs import asks_log, executors_path, log_address, logs_led, tells_logs

pytestmark = pytest.mark.unit

LINK = "http://127.0.0.1:40001/logPage/?appId=app-2026-0001&executorId=0&logType=stderr"


def executors(link: object) -> bytes:
    return json.dumps([{"id": "driver", "executorLogs": {}}, {"id": "0", "executorLogs": {"stderr": link}}]).encode()


def test_links_to_workers_are_led_below_the_prefix_and_others_stay() -> None:
    said = executors(LINK) + b" http://example.org/logPage"
    assert json.loads(logs_led(executors(LINK), "/user/ada/ui"))[1]["executorLogs"] == {
        "stderr": "/user/ada/ui/executor-logs/0/stderr"
    }
    assert logs_led(said, "/p").endswith(b" http://example.org/logPage")


@pytest.mark.parametrize("page", ["executor-logs/0/stdin", "executor-logs/../stderr", "executor-logs/0/stderr/x", ""])
def test_other_pages_are_no_logs(page: str) -> None:
    assert asks_log(page) is None


def test_a_log_is_asked_of_the_worker_as_text() -> None:
    assert asks_log("executor-logs/12/stdout") == ("12", "stdout")
    assert log_address(executors(LINK), "0", "stderr") == (
        "http://127.0.0.1:40001/log/?appId=app-2026-0001&executorId=0&logType=stderr&byteLength=200000"
    )


@pytest.mark.parametrize(
    "told",
    [
        executors("http://10.0.0.1:1/logPage/?executorId=0"),
        executors("https://127.0.0.1:1/logPage/?executorId=0"),
        executors("http://127.0.0.1:1/kill/?executorId=0"),
        executors(None),
        b"[{}]",
        b"{}",
        b"not JSON",
        b"[]",
    ],
)
def test_only_a_worker_of_this_machine_is_asked(told: bytes) -> None:
    assert log_address(told, "0", "stderr") is None


def test_the_one_application_is_found_or_nothing() -> None:
    assert executors_path(b'[{"id": "app-1"}]') == "/api/v1/applications/app-1/allexecutors"
    assert [executors_path(one) for one in (b"[]", b"{}", b"x", b"[1]")] == [None] * 4
    assert tells_logs("/api/v1/applications/app-1/allexecutors")
    assert not tells_logs("/jobs/")
