from __future__ import annotations

import json

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_alc.piezo.options import (
    MEBIBYTE,
    BadOptions,
    ClusterOptions,
    Machine,
    memory_words,
    options_schema,
    read_options,
)

pytestmark = pytest.mark.unit

SMALL = Machine(cores=2, memory_bytes=3 * 1024 * MEBIBYTE)
WIDE = Machine(cores=8, memory_bytes=16 * 1024 * MEBIBYTE)
FULL_WIDTH_FIVE = "\uff15"


def problems(given: object, machine: Machine = WIDE) -> dict[str, str]:
    with pytest.raises(BadOptions) as refused:
        read_options(given, machine)
    return {problem.field: problem.line for problem in refused.value.problems}


def test_nothing_asked_gives_a_cluster_that_fits_a_small_machine():
    assert read_options({}, SMALL) == ClusterOptions(1, 2, 1024 * MEBIBYTE, "spark")


def test_what_was_asked_is_what_is_written_down():
    asked = {"workers": 2, "cores_per_worker": 4, "memory_per_worker": "1536m", "name": "a.b-1"}
    options = read_options(asked, WIDE)
    assert options.as_json() == asked
    assert ClusterOptions.from_json(asked) == options
    assert options.cores == 8


@pytest.mark.parametrize(
    ("given", "size"),
    [("1g", 1024), ("1G", 1024), ("512m", 512), ("512M", 512), ("2gb", 2048), ("768MiB", 768), ("1Gi", 1024)],
)
def test_memory_is_read_with_units_as_people_write_them(given: str, size: int):
    assert read_options({"memory_per_worker": given}, WIDE).memory_per_worker == size * MEBIBYTE


@pytest.mark.parametrize("given", [2, "2"], ids=repr)
def test_whole_numbers_are_read_as_numbers_and_as_plain_digits(given: object):
    assert read_options({"workers": given}, WIDE).workers == 2


NOT_NUMBERS = [
    True,
    False,
    None,
    3.9,
    1.0,
    float("inf"),
    float("nan"),
    0,
    3,
    -1,
    10**30,
    "1_0",
    "+1",
    "01",
    " 1\n",
    "1\n",
    " 1 ",
    "1e0",
    "0x1",
    "1.0",
    "",
    " ",
    FULL_WIDTH_FIVE,
    "9" * 5000,
    [1],
    {"a": 1},
]


@pytest.mark.parametrize("given", NOT_NUMBERS, ids=lambda given: repr(given)[:40])
@pytest.mark.parametrize("option", ["workers", "cores_per_worker"])
def test_what_is_no_whole_number_in_range_is_refused(option: str, given: object):
    if option == "cores_per_worker" and given == 3 and given is not True:
        return
    assert set(problems({option: given})) == {option}


NOT_MEMORY = [
    " 512m",
    "512 m",
    "+600m",
    "1_000m",
    "0600m",
    FULL_WIDTH_FIVE * 3 + "m",
    "512m\n",
    "512",
    512,
    "512k",
    "1t",
    "1.5g",
    "1e1g",
    "-1g",
    "0g",
    "m",
    "",
    None,
    True,
    "511m",
    "17g",
    "99999999999g",
    ["1g"],
]


@pytest.mark.parametrize("given", NOT_MEMORY, ids=lambda given: repr(given)[:40])
def test_what_is_no_memory_in_range_is_refused(given: object):
    assert set(problems({"memory_per_worker": given})) == {"memory_per_worker"}


@pytest.mark.parametrize("given", [512, "512"], ids=repr)
def test_a_bare_number_for_memory_is_refused_naming_the_fix(given: object):
    assert "512m" in problems({"memory_per_worker": given})["memory_per_worker"]


NOT_NAMES = [
    "abc\n",
    "",
    " ",
    "1abc",
    "a-",
    "a.",
    "a--b",
    "a-.b",
    "a.-b",
    "a..b",
    "A",
    "a_b",
    "é",
    "a" * 30,
    5,
    None,
    True,
    ["a"],
]


@pytest.mark.parametrize("given", NOT_NAMES, ids=lambda given: repr(given)[:40])
def test_what_is_no_name_is_refused(given: object):
    assert set(problems({"name": given})) == {"name"}


def test_a_name_of_29_characters_is_accepted():
    assert read_options({"name": "a" * 29}, WIDE).name == "a" * 29


def test_all_wrong_keys_and_all_wrong_values_come_in_one_answer():
    found = problems({"executors": 3, "image": "x", "workers": "05", "memory_per_worker": "1", "name": "-"})
    assert set(found) == {"executors", "image", "workers", "memory_per_worker", "name"}
    assert "Use only workers, cores_per_worker, memory_per_worker, name" in found["executors"]


def test_the_answer_can_be_sent_with_each_problem_by_its_field():
    with pytest.raises(BadOptions) as refused:
        read_options({"workers": 9, "name": "-"}, WIDE)
    told = json.loads(json.dumps(refused.value.as_json()))
    assert told["code"] == "bad_input"
    assert [problem["field"] for problem in told["problems"]] == ["workers", "name"]
    assert all(problem["next_step"] for problem in told["problems"])


@pytest.mark.parametrize("given", [None, [], "x", 5, True], ids=repr)
def test_options_that_are_no_object_are_refused(given: object):
    assert set(problems(given)) == {"options"}


def test_workers_that_do_not_fit_the_machine_together_are_refused_with_what_would():
    found = problems({"workers": 2, "memory_per_worker": "1g"}, SMALL)
    assert "at most 986m" in found["memory_per_worker"]
    assert read_options({"workers": 2, "memory_per_worker": "986m"}, SMALL).workers == 2


def test_limits_follow_the_machine():
    assert problems({"cores_per_worker": 3}, SMALL)
    assert problems({"memory_per_worker": "2g"}, SMALL)
    assert read_options({}, Machine(cores=1, memory_bytes=2 * 1024 * MEBIBYTE)).cores == 1


def test_the_schema_is_one_and_knows_the_limits():
    schema = options_schema(SMALL)
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["properties"]["cores_per_worker"]["maximum"] == 2
    assert schema["additionalProperties"] is False
    jsonschema.validate(read_options({}, SMALL).as_json(), schema)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists, max_leaves=3))
def test_anything_at_all_is_read_or_refused_and_never_breaks(given: object):
    for option in ("workers", "cores_per_worker", "memory_per_worker", "name"):
        found = fields_or_options({option: given})
        assert found == [option] or jsonschema.validate(found, options_schema(WIDE)) is None


def fields_or_options(asked: dict[str, object]) -> object:
    try:
        return read_options(asked, WIDE).as_json()
    except BadOptions as refused:
        return [problem.field for problem in refused.problems]


def test_memory_is_told_in_the_words_spark_reads():
    assert memory_words(1024 * MEBIBYTE) == "1g"
    assert memory_words(1536 * MEBIBYTE) == "1536m"
