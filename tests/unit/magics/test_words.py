"""What the magics and the `alc` command say."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from IPython.core.error import UsageError

from jupyter_alc.core.sizes import size
from jupyter_alc.core.states import AllocationState, ClusterState, TransferState
from jupyter_alc.magics import data_shown, data_words, dms, shown
from jupyter_alc.magics.client import Started
from jupyter_alc.magics.parsing import piezo_spoken, vmm_spoken
from jupyter_alc.magics.words import duration, part_of, plural, seconds, table

pytestmark = pytest.mark.unit

MARKUP = "<script>alert(1)</script>"
CLUSTER = {
    "id": "cluster-1",
    "name": "mine",
    "state": "ready",
    "reason": "",
    "executors": {"running": 1, "wanted": 2},
    "cores": 2,
    "framework": "spark",
    "version": "4.3.0",
    "ui": True,
    "problem": None,
    "ready_seconds": 12.3,
}


ALIKE = json.loads((Path(__file__).parents[3] / "labextension/src/__tests__/alike.json").read_text())


def test_panel_and_magics_tell_sizes_and_times_alike() -> None:
    """The panel's own tests read the same file."""
    assert [size(count) for count, _ in ALIKE["sizes"]] == [told for _, told in ALIKE["sizes"]]
    assert [part_of(done, whole) for done, whole, _ in ALIKE["parts"]] == [told for _, _, told in ALIKE["parts"]]
    assert [duration(count) for count, _ in ALIKE["durations"]] == [told for _, told in ALIKE["durations"]]


def test_panel_and_magics_tell_datasets_and_clusters_alike() -> None:
    assert [data_words.dataset_words(one) for one, _ in ALIKE["datasets"]] == [told for _, told in ALIKE["datasets"]]
    assert [shown.framework_words(one) for one, _ in ALIKE["frameworks"]] == [told for _, told in ALIKE["frameworks"]]


@pytest.mark.parametrize(
    ("what", "told_by"),
    [
        ("plans", data_words.plan_words),
        ("transfers", data_words.transfer_words),
        ("files", data_words.file_words),
    ],
)
def test_panel_and_magics_tell_what_moves_alike(what: str, told_by: Any) -> None:
    for *told, words in ALIKE[what]:
        said = told_by(*told)
        assert (said if isinstance(said, str) else " · ".join(said)) == words
    for paths, words in ALIKE["transferNames"]:
        assert data_words.transfer_name({"paths": paths}) == words


def test_panel_and_magics_call_each_state_by_its_name_in_rest() -> None:
    assert ALIKE["states"] == {
        "machine": list(AllocationState),
        "cluster": list(ClusterState),
        "transfer": list(TransferState),
    }
    machine = {"title": "General", "cores": 2, "memory_bytes": 3 * 1000**3}
    for state in AllocationState:
        told = {"machine": machine, "used": {"cores": 0.02, "memory_bytes": 0}, "allocation": {"state": str(state)}}
        assert re.search(rf"^state +{state}$", shown.machine_shown(told).text, re.MULTILINE)
    for state in ClusterState:
        line = shown.clusters_shown([{**CLUSTER, "state": str(state)}], {"cluster-1": "/"}).text.splitlines()[1]
        assert line.split() == ["mine", str(state), "1", "of", "2", "2", "Spark", "4.3"]


@pytest.mark.parametrize("count", [None, True, "5"])
def test_a_size_that_nobody_knows_is_a_dash_(count: object) -> None:
    assert size(count) == size(None) == "–"


def test_seconds_and_counts_read_well() -> None:
    assert [seconds(0.5), seconds(75), seconds(240), seconds(None)] == ["0.5 s", "75 s", "4 min", "unknown"]
    assert [plural(1, "file"), plural(2, "file")] == ["1 file", "2 files"]


def test_a_table_shows_control_characters_and_sends_none() -> None:
    assert table(("a", "b"), [("x\x1b[31m", 1)]) == "a          b\nx\\x1b[31m  1"


@pytest.mark.parametrize("name", ["\x1b[31mred", "two\nlines", "\u202etxet", "\udcff"])
def test_no_name_moves_the_cursor_or_turns_the_text_around(name: str) -> None:
    for view in (
        shown.words(f"No {name}."),
        data_shown.folder_shown({"entries": [{"name": name, "type": "file", "size": 1}]}),
    ):
        both = view.text + view.html
        assert name not in both
        assert repr(name)[1:-1] in both
        both.encode()


def test_a_long_title_leaves_room_for_the_other_columns() -> None:
    one = {"id": "one", "title": "x" * 300, "access": "read", "state": "ok", "size_bytes": 1}
    assert max(map(len, data_shown.data_shown({"datasets": [one]}).text.splitlines())) < 160


@pytest.mark.parametrize("name", ["ناتج القياس", "👩\u200d🔬", "<img src=x onerror=alert(1)>", "{{7*7}}"])
def test_every_other_name_is_shown_as_it_is(name: str) -> None:
    assert name in shown.words(name).text
    assert name in data_shown.folder_shown({"entries": [{"name": name, "type": "directory"}]}).text


@pytest.mark.parametrize("spoken", [dms.SPOKEN, piezo_spoken(), vmm_spoken()])
def test_every_verb_stands_in_the_help_with_its_options(spoken: object) -> None:
    told = spoken.help()
    assert all(f"  {verb}" in told for verb in spoken.verbs)
    assert spoken.read("").verb == "status"


@pytest.mark.parametrize(
    "line", ["sing", "start --workers two", "start --colour red", 'start --name "open', "start --work 1"]
)
def test_a_wrong_word_is_one_line(line: str) -> None:
    with pytest.raises(UsageError) as told:
        piezo_spoken().read(line)
    assert "\n" not in str(told.value)
    assert str(told.value).startswith("%piezo")


def test_completion_offers_verbs_then_options_that_were_not_typed() -> None:
    spoken = piezo_spoken()
    assert spoken.offers("st") == ["start", "status", "stop"]
    assert "--workers" in spoken.offers("start ")
    assert spoken.offers("start --name x --n") == []
    assert spoken.offers("sing ") == []


def test_everything_is_shown_as_text_and_as_html_and_markup_is_escaped() -> None:
    dataset = {
        "id": "d",
        "title": MARKUP,
        "access": "read",
        "state": "unreachable",
        "problem": {"code": "archive_unreachable", "message": MARKUP},
        "size_bytes": None,
        "moved_bytes": 5,
        "requests": 1,
    }
    machine = {"title": MARKUP, "cores": 2, "memory_bytes": 2**30, "isolation": MARKUP}
    views = [
        data_shown.data_shown({"daemon": {"mount": MARKUP, "mounted": True}, "datasets": [dataset], "unsent": []}),
        data_shown.data_shown({"daemon": None, "datasets": [], "unsent": [], "words": MARKUP}),
        data_shown.folder_shown(
            {"entries": [{"name": MARKUP, "type": "file", "size": 3}, {"name": "d", "type": "directory"}]}
        ),
        data_shown.flush_shown([{"path": MARKUP, "state": "waiting", "size_bytes": 1, "problem": {"message": MARKUP}}]),
        shown.clusters_shown([{**CLUSTER, "name": MARKUP, "reason": MARKUP}], {"cluster-1": '/"><script>'}),
        shown.machine_shown(
            {"machine": machine, "used": {"cores": None, "memory_bytes": 1}, "allocation": None, "words": MARKUP}
        ),
        shown.machine_shown({"machine": None, "used": {}, "allocation": None, "words": MARKUP}),
        shown.helped(MARKUP),
    ]
    for view in views:
        bundle = view._repr_mimebundle_()
        assert set(bundle) == {"text/plain", "text/html"}
        assert "<script>" not in bundle["text/html"]
        assert bundle["text/plain"]
        assert repr(view) == bundle["text/plain"]


def test_an_archive_that_cannot_be_asked_is_not_told_as_empty() -> None:
    dataset = {"id": "d", "title": "D", "access": "read", "state": "unreachable", "problem": {"message": "No answer."}}
    assert "out of reach: No answer." in data_shown.data_shown({"datasets": [dataset]}).text


def test_an_unsent_file_that_cannot_be_sent_is_named_with_its_cure() -> None:
    problem = {"message": "The archive refused it.", "next_step": "Ask for write access."}
    dataset = {"id": "d", "title": "D", "access": "write", "state": "unsent", "unsent_files": 5, "unsent_bytes": 5}
    unsent = [{"path": f"d/{number}", "problem": problem if number else None} for number in range(6)]
    told = data_shown.data_shown({"datasets": [dataset], "unsent": unsent}).text
    assert "5 files unsent, 5 B not in the archive yet" in told
    assert "d/1: The archive refused it. Ask for write access." in told
    assert "d/0" not in told
    assert told.endswith("and 2 more files that could not be sent")


def test_a_cluster_on_its_way_says_why_it_waits() -> None:
    line = shown.cluster_line({**CLUSTER, "state": "starting", "reason": "waiting for executors"})
    assert line == "Cluster mine: starting, 1 of 2 executors, waiting for executors"
    assert "Attached" in shown.started_words(Started(CLUSTER, again=True), session=True)
    assert "12 s" in shown.started_words(Started(CLUSTER, again=False), session=True)


def test_options_that_a_running_cluster_does_not_have_are_named() -> None:
    running = {**CLUSTER, "options": {"workers": 1, "cores_per_worker": 2, "memory_per_worker": "1g"}}
    told = shown.started_words(Started(running, again=True, unheeded=("workers", "memory_per_worker")), session=True)
    assert "keeps the size it was started with (workers 1, memory 1g): stop it first" in told
    assert "keeps" not in shown.started_words(Started(running, again=True), session=True)
