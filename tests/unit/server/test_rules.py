"""The pure parts of the server extension."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any

import pytest

from jupyter_alc.core.errors import BadInput, Denied, Missing, Unavailable
from jupyter_alc.server.data import data_status
from jupyter_alc.server.handler import error_answer
from jupyter_alc.server.machine import machine_given, machine_story
from jupyter_alc.server.ui_rules import (
    changes_something,
    is_asset,
    location_told,
    needs_tail,
    sent_headers,
    sent_query,
    told_headers,
)
from jupyter_alc.server.usage import Sample, Usage, group_sample, process_sample
from jupyter_alc.server.watch import Watch, digest

pytestmark = pytest.mark.unit

PREFIX = "/user/ada/jupyter-alc/v1/piezo/clusters/c/ui"
UI = "http://127.0.0.1:4040"


@pytest.mark.parametrize(
    ("location", "told"),
    [
        ("http://127.0.0.1:4040/jobs/", f"{PREFIX}/jobs/"),
        ("http://localhost:4040/jobs/?a=1", f"{PREFIX}/jobs/?a=1"),
        (f"http://127.0.0.1:4040{PREFIX}/jobs/", f"{PREFIX}/jobs/"),
        ("/stages/", f"{PREFIX}/stages/"),
        (f"{PREFIX}/stages/", f"{PREFIX}/stages/"),
        ("//example.org/x", None),
        ("http://example.org/", None),
        ("javascript:alert(1)", None),
        ("https://127.0.0.1:4040/", None),
    ],
)
def test_a_redirect_stays_below_the_prefix(location: str, told: str | None) -> None:
    assert location_told(location, UI, PREFIX) == told


def test_only_listed_headers_pass() -> None:
    browser = {
        "Cookie": "a",
        "Authorization": "b",
        "X-Forwarded-Context": "/evil",
        "Accept": "text/html",
        "Connection": "close",
    }
    assert sent_headers(browser, PREFIX) == {
        "Accept": "text/html",
        "Accept-Encoding": "identity",
        "X-Forwarded-Context": PREFIX,
    }
    assert told_headers({"Set-Cookie": "a", "Transfer-Encoding": "chunked", "ETag": "1"}) == {"ETag": "1"}


def test_secrets_leave_the_query_and_the_rest_stays_as_it_was() -> None:
    assert sent_query("a=%2F&b=") == "a=%2F&b="
    assert sent_query("a=1&_xsrf=2&token=3&b=") == "a=1&b="


def test_pages_that_change_something_and_the_first_script_are_known() -> None:
    assert changes_something("jobs/job/kill/")
    assert not changes_something("static/skill.js")
    assert needs_tail("/static/jquery.min.js")
    assert not needs_tail("/static/jquery.dataTables.min.js")


@pytest.mark.parametrize(
    ("path", "asset"),
    [
        (f"{PREFIX}/static/utils.js", True),
        (f"{PREFIX}/static/sql/spark-sql-viz.css", True),
        (f"{PREFIX}/static/", False),
        (f"{PREFIX}/jobs/", False),
        (f"{PREFIX}/static/../jobs/", False),
        (f"{PREFIX}/static/%2e%2e/jobs/", False),
        (f"{PREFIX}/api/v1/static/x.js", False),
        (f"{PREFIX}/static/x.js\n", False),
    ],
)
def test_only_sparks_own_files_are_read_without_a_token(path: str, asset: bool) -> None:
    assert is_asset(path) is asset


def test_errors_are_told_by_code_and_foreign_words_stay_inside() -> None:
    assert error_answer(500, BadInput("No.", next_step="Yes.", field="a")) == (
        422,
        {"code": "bad_input", "message": "No.", "next_step": "Yes.", "field": "a"},
    )
    assert error_answer(500, ValueError("secret"))[1]["code"] == "internal"
    assert "secret" not in str(error_answer(500, ValueError("secret")))
    assert error_answer(404, None)[1]["code"] == "not_found"


async def test_a_change_is_told_once_and_silence_is_no_change() -> None:
    answers: list[Any] = [{"a": 1, "lease_until": 1}, {"a": 1, "lease_until": 2}, Unavailable("?"), {"a": 2}, {"a": 2}]
    told: list[str] = []

    async def look() -> Any:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    watch = Watch({"data": look}, {"data": 60}, told.append, logging.getLogger("t"))
    for _ in range(5):
        await watch.look_once("data")
    assert told == ["data"]


async def test_a_look_can_be_asked_for_and_a_mistake_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    looked = asyncio.Event()
    count = 0

    async def look() -> Any:
        nonlocal count
        count += 1
        if count == 1:
            raise ValueError("a mistake of ours")
        looked.set()
        return count

    watch = Watch({"data": look}, {"data": 3600}, lambda part: None, logging.getLogger("t"))
    watch.start()
    await asyncio.sleep(0)
    watch.look("data")
    watch.look("nothing")
    await asyncio.wait_for(looked.wait(), 10)
    await watch.stop()
    assert "looking at data failed" in caplog.text


def test_what_nobody_wants_to_be_told_changes_no_mark() -> None:
    assert digest([{"a": [1], "requests": 1}]) == digest([{"a": [1], "requests": 2}])
    assert digest({"a": 1}) != digest({"a": 2})


class Machines:
    def __init__(self, error: Exception | None = None) -> None:
        self.error = error

    async def allocations(self) -> list[dict[str, Any]]:
        if self.error:
            raise self.error
        return [{"id": "other"}, {"id": "mine", "state": "ready"}]

    async def release(self, allocation: str) -> dict[str, Any]:
        return {"id": allocation}

    async def close(self) -> None: ...


MACHINE = {"ALC_MACHINE": '{"key": "m", "allocation": "mine", "secret": 1}'}


async def test_the_machine_is_told_with_its_own_allocation() -> None:
    told = await machine_story(Machines(), {}, MACHINE)
    assert told["allocation"] == {"id": "mine", "state": "ready"}
    assert "secret" not in told["machine"]


@pytest.mark.parametrize("error", [Unavailable("Away."), Denied("No.")])
async def test_a_service_that_cannot_be_asked_leaves_the_machine_and_a_problem(error: Exception) -> None:
    told = await machine_story(Machines(error), {}, MACHINE)
    assert told["machine"]["key"] == "m"
    assert told["problem"]["code"] == "unavailable"


@pytest.mark.parametrize("given", [{}, {"ALC_MACHINE": "{"}, {"ALC_MACHINE": "[]"}])
async def test_without_a_machine_words_say_so(given: dict[str, str]) -> None:
    assert machine_given(given) is None
    assert (await machine_story(Machines(), {}, given))["words"]


async def test_without_a_data_service_words_say_so() -> None:
    assert (await data_status(None))["words"]

    class Gone:
        async def status(self) -> Any:
            raise Missing("No device.", next_step="Load fuse.")

    assert "Load fuse" in (await data_status(Gone()))["words"]


def test_use_is_read_from_a_limited_group_or_from_the_processes(tmp_path: Path) -> None:
    assert group_sample(tmp_path) is None
    (tmp_path / "memory.max").write_text("1000\n")
    (tmp_path / "memory.current").write_text("600\n")
    (tmp_path / "cpu.stat").write_text("usage_usec 2000000\nuser_usec 1\n")
    assert group_sample(tmp_path) == Sample(2.0, 600)
    (tmp_path / "memory.max").write_text("max\n")
    assert group_sample(tmp_path) is None
    import os

    assert process_sample(Path("/proc"), os.getuid()).memory_bytes > 0


def test_cores_are_the_difference_between_two_looks(tmp_path: Path) -> None:
    class Clock:
        at = 10.0

        def monotonic(self) -> float:
            return self.at

        def now(self) -> Any: ...

    clock = Clock()
    (tmp_path / "memory.max").write_text("1000")
    (tmp_path / "memory.current").write_text("600")
    (tmp_path / "cpu.stat").write_text("usage_usec 2000000")
    usage = Usage(clock=clock, group=tmp_path)
    (tmp_path / "cpu.stat").write_text("usage_usec 5000000")
    clock.at = 12.0
    assert usage.now() == {"cores": 1.5, "memory_bytes": 600}
    (tmp_path / "cpu.stat").write_text("usage_usec 9000000")
    clock.at = 12.4
    assert usage.now()["cores"] == 1.5
    clock.at = 14.0
    assert usage.now()["cores"] == 2.0
