"""What a browser is told while a machine starts."""

from __future__ import annotations

import json

import pytest

from alc_spawners.stages import WORDS, alive, progress_event, seconds, took
from jupyter_alc.core.states import AllocationState

pytestmark = pytest.mark.unit


def stage(name: str, state: str, spent: float | None = None, usual: float | None = 0.5) -> dict:
    return {"name": name, "state": state, "seconds": spent, "usual_seconds": usual}


def test_a_running_stage_says_what_happens_and_how_long_it_usually_takes():
    event = progress_event(
        {"stages": [stage("claimed", "done", 0.1), stage("mount", "now"), stage("server", "waiting")]}
    )
    assert event["message"] == "Mounting your data, usually 0.5 s"
    assert [one["state"] for one in event["stages"]] == ["done", "now", "waiting"]
    assert event["progress"] == 50


def test_before_the_first_answer_the_stages_are_named():
    event = progress_event(None)
    assert [one["name"] for one in event["stages"]] == ["claimed", "account", "mount", "proof", "server"]
    assert event["message"] == "Claiming a machine"


def test_only_the_hub_says_a_hundred():
    assert progress_event({"stages": [stage(name, "done", 0.1) for name in WORDS]})["progress"] == 99


def test_an_event_never_carries_markup_of_ours():
    event = progress_event({"stages": [stage("<b>new</b>", "now")]})
    assert "html_message" not in json.dumps(event)
    assert "ready" not in event


def test_a_failed_stage_is_the_one_that_is_told():
    event = progress_event({"stages": [stage("claimed", "done", 0.1), stage("proof", "failed")]})
    assert event["message"].startswith("Failed: reading your data as you")


def test_a_start_that_goes_on_without_folders_says_so_in_its_stage():
    problem = {"code": "missing", "message": "No folders here.", "next_step": "Use dms://."}
    stages = [stage("mount", "done", 0.1), stage("proof", "now")]
    event = progress_event({"state": "mounting", "stages": stages, "problem": problem})
    assert [(one["state"], one["words"]) for one in event["stages"]] == [
        ("lacking", "No folders here. Use dms://."),
        ("now", WORDS["proof"][1]),
    ]
    assert event["progress"] == 75


@pytest.mark.parametrize("state", AllocationState)
def test_every_allocation_state_is_alive_or_over(state):
    assert alive({"state": str(state)}) == (str(state) in {"queued", "claimed", "mounting", "starting", "ready"})


@pytest.mark.parametrize(
    ("value", "words"),
    [(None, ""), (0.02, "< 0.1 s"), (0.25, "0.2 s"), (12.4, "12 s"), (300, "5 min")],
)
def test_times_are_told_for_people(value, words):
    assert seconds(value) == words


def test_the_time_column_is_short_when_all_is_well():
    assert took(stage("claimed", "done", 0.1)) == "0.1 s"
    assert took(stage("mount", "now", 2.1)) == "2.1 s, usually 0.5 s"
    assert took(stage("mount", "waiting", None, None)) == ""
