"""From a form, a link or plain REST to a checked choice."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alc_spawners.options import WrongOptions, check_options, options_from_form

pytestmark = pytest.mark.unit


def machine(ident: str, state: str = "ready", words: str = "1 ready now") -> dict:
    return {"id": ident, "title": ident.title(), "offer": {"state": state, "words": words, "seconds": 3}}


TYPES = [machine("small"), machine("large")]
DATA = ["sans-examples", "results"]


def problems(options: dict, types: list[dict] | None = None, data: list[str] | None = None) -> list:
    with pytest.raises(WrongOptions) as told:
        check_options(options, TYPES if types is None else types, DATA if data is None else data)
    return list(told.value.problems)


def test_a_form_becomes_plain_options():
    told = options_from_form({"machine_type": ["small"], "datasets": ["results", "sans-examples"], "_xsrf": ["x"]})
    assert told == {"machine_type": "small", "datasets": ["results", "sans-examples"]}


def test_a_form_without_a_tick_chooses_no_data():
    assert options_from_form({}) == {"datasets": []}


def test_an_empty_choice_takes_the_first_type_that_can_be_had():
    choice = check_options({}, [machine("big", "full", "cap reached"), machine("small")], DATA)
    assert (choice.machine_type, choice.datasets) == ("small", ())


def test_a_good_choice_keeps_its_order_and_drops_repetition():
    choice = check_options({"machine_type": "large", "datasets": ["results", "results", "sans-examples"]}, TYPES, DATA)
    assert (choice.machine_type, choice.title, choice.datasets) == ("large", "Large", ("results", "sans-examples"))


def test_everything_that_is_wrong_is_told_at_once():
    found = problems({"machine_type": "gpu", "datasets": ["results", "secret"], "image": "evil"})
    assert [one.field for one in found] == ["image", "machine_type", "datasets"]
    assert all(one.next_step for one in found)
    assert "small, large" in found[1].next_step
    assert "sans-examples" in found[2].next_step


def test_a_dataset_of_somebody_else_and_one_that_never_was_are_told_alike():
    (mine,) = problems({"datasets": ["brahes-own"]})
    (nobodys,) = problems({"datasets": ["never-was"]})
    assert str(mine).replace("brahes-own", "never-was") == str(nobodys)


@pytest.mark.parametrize("told", ["results", {"results": True}, [1], [["results"]], 7])
def test_datasets_that_are_no_list_of_names_are_refused(told):
    (found,) = problems({"datasets": told})
    assert "list" in str(found)


@pytest.mark.parametrize("told", [7, ["small"], {"id": "small"}, "Small", "small\n", ""])
def test_a_machine_type_is_taken_only_by_its_exact_id(told):
    (found,) = problems({"machine_type": told})
    assert found.field == "machine_type"


def test_a_type_that_is_refused_says_why():
    (found,) = problems({"machine_type": "small"}, [machine("small", "refused", "this computer serves one person")])
    assert "one person" in str(found)
    assert "operator" in found.next_step, "no other type will do"


def test_a_full_type_may_be_asked_for_because_its_count_moves():
    assert check_options({"machine_type": "small"}, [machine("small", "full", "cap reached")], DATA).title == "Small"


def test_nobody_without_machine_types_gets_a_choice():
    (found,) = problems({}, [])
    assert "operator" in found.next_step


def test_a_long_name_is_not_echoed_whole():
    (found,) = problems({"machine_type": "x" * 100_000})
    assert len(str(found)) < 200


@pytest.mark.parametrize(
    "wrong", [{"datasets": [f"n{one}" for one in range(5000)]}, {f"k{one}": 1 for one in range(5000)}]
)
def test_many_mistakes_of_one_kind_are_one_message_that_can_be_read(wrong):
    (found,) = problems(wrong)
    assert len(found.line) < 300
    assert "or 4995 more" in str(found)


def test_what_would_move_a_cursor_or_turn_text_around_is_not_echoed():
    (found,) = problems({"datasets": ["a\n\x1b[31m\u202eb\ud800"]})
    assert "“a��[31m�b�”" in str(found)


@given(
    st.dictionaries(
        st.text(max_size=8) | st.sampled_from(["machine_type", "datasets"]),
        st.recursive(st.none() | st.integers() | st.text(max_size=8), lambda inner: st.lists(inner, max_size=3)),
        max_size=4,
    )
)
def test_whatever_is_posted_becomes_a_choice_or_a_reason(options):
    reasons: list = []
    try:
        choice = check_options(options, TYPES, DATA)
    except WrongOptions as wrong:
        reasons = [one.line for one in wrong.problems]
        choice = None
    if choice is None:
        assert all(reasons)
        assert reasons
        return
    assert choice.machine_type in {"small", "large"}
    assert set(choice.datasets) <= set(DATA)
