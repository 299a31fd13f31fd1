"""The whole day in real Chromium under the Hub, as `make demo` lives it."""

from __future__ import annotations

import pytest

from day.browser import browser
from day.report import Report
from day.steps import Day
from day.system import System, Traces

pytestmark = [pytest.mark.browser, pytest.mark.fuse, pytest.mark.timeout(900)]


def test_every_step_of_a_scientists_day_is_true_and_nothing_is_left(tmp_path_factory):
    place = tmp_path_factory.mktemp("day")
    system, traces = System(place / "state"), Traces(place / "state")
    report = Report(place / "report.json", print)
    traces.follow()
    system.start()
    try:
        with browser() as chromium:
            Day(system, report, chromium, place / "pictures").run()
    finally:
        system.stop()
    assert traces.left(system.service_address) == {}
    assert report.ok
    assert traces.machines
