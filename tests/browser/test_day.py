"""The whole day in real Chromium under the Hub, as `make demo` lives it."""

from __future__ import annotations

import pytest

from day.archives import OnCeph
from day.browser import browser
from day.report import Report
from day.steps import Day
from day.system import System, Traces

pytestmark = [pytest.mark.browser, pytest.mark.fuse, pytest.mark.timeout(900)]


@pytest.mark.parametrize("archive", ["embedded", pytest.param("ceph", marks=[pytest.mark.ceph, pytest.mark.long])])
def test_every_step_of_a_scientists_day_is_true_and_nothing_is_left(tmp_path_factory, archive):
    place = tmp_path_factory.mktemp("day")
    given = OnCeph(place / "ceph") if archive == "ceph" else None
    system, traces = System(place / "state", given=given), Traces(place / "state")
    report = Report(place / "report.json", print)
    traces.follow()
    try:
        system.start()
        with browser() as chromium:
            Day(system, report, chromium, place / "pictures").run()
    finally:
        system.stop()
        left = system.archive.stop()
    assert left == []
    assert traces.left(system.service_address) == {}
    assert report.ok
    assert traces.machines
