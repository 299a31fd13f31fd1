"""Bars are judged by medians, and the page says by how much one is missed."""

import pytest

from bench.figures import spread
from bench.reading import tables
from bench.reading.bars import judge
from bench.reading.many_names import FOLDER, Names

pytestmark = pytest.mark.unit


def row(**clients):
    named = {name.replace("_", " "): figures for name, figures in clients.items()}
    return {name: {figure: spread(values) for figure, values in told.items()} for name, told in named.items()}


RESULTS = {
    "stream, +0 ms": row(
        ours={"cold MiB/s": [300, 310, 320]}, floor={"cold MiB/s": [380]}, s3fs={"cold MiB/s": [200, 260, 270]}
    ),
    "names, +0 ms": row(ours={"warm ms": [120.0]}),
}


def test_each_bar_is_judged_beside_those_it_names():
    told = {(one.bar.figure, one.bar.says): one for one in judge(RESULTS)}
    assert not told["cold MiB/s", "1.2 x the best peer"].reached
    assert told["cold MiB/s", "0.8 x the floor"].reached
    assert told["warm ms", "60 ms"].share == 2
    assert len(told) == 3  # what was not measured is not judged


def test_the_page_tells_what_is_missed_and_takes_the_place_of_the_last_one(tmp_path):
    told = {
        "when": "today", "runs": 3, "minutes": 1, "versions": "none", "rows": RESULTS,
        "computer": {"cores": 2, "memory_gib": 1, "processor": "x", "kernel": "6", "root": True},
        "failed": {"frame, +0 ms": "it broke\nat once"},
        "proxy": {"MiB/s": 1000, "CPU-s per GiB": 0.3},
    }  # fmt: skip
    page = tmp_path / "results.md"
    page.write_text(f"before\n{tables.BEGIN}\nof last time\n{tables.END}\nafter\n")
    tables.put_into(page, tables.page(told))
    text = page.read_text()
    assert "| names, +0 ms: warm ms | 120 | at most 60 ms | 60 | **no**: 2.00 times as much |" in text
    assert "310 (300 to 320)" in text
    assert "**frame, +0 ms could not be measured**: it broke\n" in text
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "of last time" not in text


def test_very_many_names_come_by_pages_of_which_none_is_lost():
    names, after, seen = Names(2500), "", []
    while True:
        page = names.page(FOLDER, "/", after, 1000)
        keys = [part.partition("</Key>")[0] for part in page.split("<Key>")[1:]]
        seen += keys
        if "<IsTruncated>false" in page:
            break
        after = keys[-1]
    assert seen == [names.key(number) for number in range(2500)]
    assert names.page(f"{names.key(3)}/", "/", "", 1).count("<Key>") == 0
    assert "<Prefix>many/</Prefix>" in names.page("", "/", "", 1000)
