"""The form as the server renders it: complete without a script, and no text of anybody's becomes markup."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest

from alc_spawners.form import FormContent, render_form, size
from jupyter_alc.core.dataset import Dataset
from jupyter_alc.core.errors import Unavailable

pytestmark = pytest.mark.unit

EVIL = "<script>alert('x')</script> \"quoted\" & 'single'"
RESULTS = Dataset(
    id="results", title="My results", adapter="webdav", url="http://a/{user}", where="Archive", writers=frozenset({"*"})
)
EXAMPLES = Dataset(id="sans-examples", title="SANS examples", adapter="webdav", url="http://a", size_bytes=37_000_000)


def machine(ident: str, state: str = "ready", words: str = "3 ready now", **more: object) -> dict:
    return {
        "id": ident,
        "title": f"Type {ident}",
        "description": "Spark",
        "cores": 2,
        "memory_bytes": 3_000_000_000,
        "environment": "spark",
        "isolation": "namespaces",
        "limits_note": "",
        "offer": {"state": state, "words": words, "seconds": 3},
        **more,
    }


class Elements(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.inputs: list[dict[str, str | None]] = []
        self.tags: set[str] = set()
        self.labelled: set[str | None] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag == "input":
            self.inputs.append(dict(attrs))
        if tag == "label":
            self.labelled.add(dict(attrs).get("for"))

    def checked(self, name: str) -> list[str | None]:
        return [one["value"] for one in self.inputs if one.get("name") == name and "checked" in one]


def render(**content: object) -> str:
    told = {"machine_types": [machine("small"), machine("large")], "datasets": [EXAMPLES, RESULTS], **content}
    return render_form(FormContent("ada", **told))


def test_a_person_without_scripts_can_choose_everything():
    form = Elements(render())
    data = [one for one in form.inputs if one.get("name") == "datasets"]
    assert [(one["type"], one["value"]) for one in data] == [("checkbox", "sans-examples"), ("checkbox", "results")]
    kinds = [one for one in form.inputs if one.get("name") == "machine_type"]
    assert [(one["type"], one["value"]) for one in kinds] == [("radio", "small"), ("radio", "large")]
    assert form.checked("machine_type") == ["small"]
    assert {one["id"] for one in data} <= form.labelled
    assert "script" not in form.tags


def test_what_needs_a_script_is_hidden_until_there_is_one():
    search = next(one for one in Elements(render()).inputs if one["type"] == "search")
    assert "hidden" in search


def test_markup_in_a_title_stays_text():
    one = Dataset(
        id="evil", title=EVIL, adapter="x", url="x", description=EVIL, where=EVIL, labels={"a": EVIL}, size_bytes=1
    )
    kinds = [machine("small", words=EVIL, title=EVIL, description=EVIL, limits_note=EVIL)]
    text = render(datasets=[one], machine_types=kinds, problems=[Unavailable(EVIL, next_step=EVIL)])
    assert "<script" not in text
    assert '"quoted"' not in text
    assert "&lt;script&gt;" in text
    assert "script" not in Elements(text).tags


def test_size_place_and_access_are_shown():
    text = render()
    for words in ("37 MB", "read only", "read and write", "Archive", "data/results", "2 you may use"):
        assert words in text


def test_cards_show_cores_memory_environment_and_the_count():
    text = render()
    assert "2 cores · 3 GB · spark environment" in text
    assert "3 ready now" in text
    assert 'data-soon="3 s"' in text


def test_a_full_type_is_shown_with_its_reason_and_cannot_be_picked():
    form = Elements(text := render(machine_types=[machine("small", "full", "4 of 4 in use"), machine("large")]))
    small = next(one for one in form.inputs if one.get("value") == "small")
    assert "disabled" in small
    assert form.checked("machine_type") == ["large"]
    assert "4 of 4 in use" in text


def test_the_last_choice_is_ticked_again_and_nonsense_in_it_is_not_believed():
    form = Elements(render(chosen={"machine_type": "large", "datasets": ["results", "gone"]}))
    assert form.checked("machine_type") == ["large"]
    assert form.checked("datasets") == ["results"]
    assert Elements(render(chosen={"machine_type": {}, "datasets": 7})).checked("datasets") == []


def test_a_silent_service_is_named_with_the_next_step():
    text = render(machine_types=[], problems=[Unavailable("VMM is silent.", next_step="Try again.")])
    assert "VMM is silent. Try again." in text
    assert "No machine type can be offered now." in text


def test_a_type_that_is_not_isolated_or_lacks_something_says_so():
    notes = {"limits_note": "cores are not limited here", "lacks_note": "No folders here."}
    text = render(machine_types=[machine("small", isolation="none", **notes)])
    assert "not isolated" in text
    assert "cores are not limited here" in text
    assert "No folders here." in text


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "–"),
        (0, "0 B"),
        (999, "999 B"),
        (37_000_000, "37 MB"),
        (1_800_000_000_000, "1.8 TB"),
        (3 * 10**9, "3 GB"),
    ],
)
def test_sizes_are_told_for_people(value, words):
    assert size(value) == words
