"""The JSON Schema of the catalogue and its reader take the same files."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import jsonschema
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

import jupyter_alc.dms.catalogue as reader
from jupyter_alc.core.dataset import MountedDataset, Pattern, Transfer
from jupyter_alc.core.errors import BadFile
from jupyter_alc.core.views import MOST_VIEWS, View
from jupyter_alc.core.written import as_yaml
from jupyter_alc.dms.catalogue import Catalogue

pytestmark = pytest.mark.unit

SCHEMA = json.loads(reader.SCHEMA.read_text(encoding="utf-8"))
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)

texts = st.text(max_size=12) | st.sampled_from(["", " ", "a\nb", "x" * 301, "\u202eabc", "\u2003", "two\nlines\n", "*"])
anything = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 2000) | st.floats(0.25, 0.75) | texts,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(texts, inner, max_size=2),
    max_leaves=3,
)


def mostly(right):
    """What is right nine times of ten, else anything."""
    return st.integers(0, 9).flatmap(lambda number: anything if number == 0 else right)


numbers = st.integers(0, 300) | st.none()
transfers = st.fixed_dictionaries(
    {},
    optional={
        "pattern": mostly(st.sampled_from(list(map(str, Pattern)))),
        "parallel": mostly(numbers),
        "files": mostly(numbers),
        "connections": mostly(numbers),
        "bytes_per_second": mostly(numbers | st.sampled_from([10**12, 10**12 + 1])),
        "fetch_by_list": mostly(st.booleans()),
        "more": anything,
    },
)
patterns = st.sampled_from(
    [
        *("{a}/{b:digits}.nxs", "{a}/", "a", "a/{a}", "{a}/.b", "...", "x" * 301, "a\n", "\u202e{a}"),
        *("{A}", "{a", "a}", "{a:words}", "", "/", "/a", "a//b", "..", "a/..", "a/./b"),
    ]
)
view_names = st.sampled_from(["by-run", "-a", "A", "b" * 64])
views = st.fixed_dictionaries({"of": mostly(patterns), "at": mostly(patterns)}, optional={"to": anything})
datasets = st.fixed_dictionaries(
    {
        "id": mostly(st.sampled_from(["raw", "a-b", "x1", "-a", "a-", "A", "a\n", "b" * 63, "b" * 64, ""])),
        "title": mostly(texts),
        "adapter": st.just("local"),
        "url": mostly(texts),
    },
    optional={
        "description": mostly(texts | st.just("x" * 2001)),
        "where": mostly(texts),
        "readers": mostly(st.lists(texts, max_size=2)),
        "writers": mostly(st.lists(texts, max_size=2)),
        "size_bytes": mostly(st.integers(-1, 10**9) | st.none()),
        "published": mostly(st.booleans()),
        "labels": mostly(st.dictionaries(texts, texts, max_size=2)),
        "credentials": mostly(texts),
        "archive": st.just("isis"),
        "transfer": mostly(transfers),
        "views": mostly(st.dictionaries(view_names, mostly(views), max_size=2)),
    },
)
archives = st.fixed_dictionaries({"isis": mostly(st.fixed_dictionaries({}, optional={"transfer": mostly(transfers)}))})
files = st.fixed_dictionaries(
    {"datasets": mostly(st.lists(mostly(datasets), max_size=1)), "archives": mostly(archives)}, optional={}
)


def read(text: str) -> str:
    """What the reader says of a file: nothing, where it takes it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "catalogue.yaml"
        path.write_text(text, encoding="utf-8")
        try:
            Catalogue.from_file(path)
        except BadFile as wrong:
            return wrong.line
    return ""


@given(files)
@settings(max_examples=400, deadline=None)
def test_the_reader_takes_what_the_schema_takes_and_nothing_else(told):
    """But for what no schema can say: ids are unique, adapters installed, archives named."""
    said = read(as_yaml(told))
    if "there is no archive" in said or "of has no group" in said:
        return
    assert VALIDATOR.is_valid(told) is (said == ""), said or "the reader takes it"


@pytest.mark.parametrize(
    "spelling", ["08", "0x10", "010", '"8"', "+8", "8.0", "1e3", "-1", "eight"], ids=lambda text: text.strip('"')
)
def test_a_number_is_written_with_plain_digits(spelling):
    """What YAML makes of other spellings surprises people."""
    lines = f"datasets:\n- {{id: a, title: A, adapter: local, url: /a, size_bytes: {spelling}}}\n"
    assert "not a whole number" in read(lines)
    assert read(lines.replace(spelling, "37_000_000")) == ""


def test_the_schema_is_a_schema_and_knows_every_field():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert set(SCHEMA["$defs"]["dataset"]["properties"]) == set(reader._READERS)
    assert set(SCHEMA["$defs"]["view"]["properties"]) == set(reader._VIEW)
    assert SCHEMA["$defs"]["dataset"]["properties"]["views"]["maxProperties"] == MOST_VIEWS
    fields = SCHEMA["$defs"]["transfer"]["properties"]
    assert set(fields) == set(reader._TRANSFER)
    assert fields["pattern"]["enum"] == list(Pattern)
    assert {name: fields[name]["maximum"] for name in Transfer.MOST} == Transfer.MOST


@pytest.mark.parametrize(
    ("written", "line", "cure"),
    [
        ("transfer: {pattern: eager}", 6, "Use one of lazy, siblings, mirror, list."),
        ("transfer: {parallel: 0}", 6, "Give a number from 1 to 256, or leave parallel out."),
        ("transfer: {speed: 1}", 6, "Use one of pattern, parallel, files"),
        ("transfer: mirror", 6, "Write transfer: {pattern: lazy}"),
        ("archive: ral", 6, "Write it below `archives:`, or leave it out."),
        ("views: by-run", 6, "Write views: {by-run: {of:"),
        ("views: {By Run: {of: a, at: a}}", 6, "Use 1 to 63 lower-case letters"),
        ('views:\n      by-run: {of: "{run}.nxs"}', 7, "Write views: {by-run: {of:"),
        ('views:\n      by-run: {of: "{run}.nxs", at: "a", by: "b"}', 7, "Use of and at."),
        (
            'views:\n      by-run:\n        of: "{a}{b}.nxs"\n        at: "{a}/"',
            8,
            "Write text between them, or {b:digits}.",
        ),
        ('views:\n      by-run:\n        of: "{a}.nxs"\n        at: "{run}/"', 9, "Use one of a."),
    ],
)
def test_a_mistake_is_told_with_its_line_and_what_to_write(written, line, cure, tmp_path):
    path = tmp_path / "catalogue.yaml"
    path.write_text(f"datasets:\n  - id: a\n    title: A\n    adapter: local\n    url: /a\n    {written}\n")
    with pytest.raises(BadFile, match=rf"line {line}:") as wrong:
        Catalogue.from_file(path)
    assert cure in wrong.value.next_step


def test_what_a_dataset_says_goes_before_what_its_archive_says(tmp_path):
    path = tmp_path / "catalogue.yaml"
    path.write_text(
        yaml.safe_dump(
            {
                "archives": {"isis": {"transfer": {"pattern": "mirror", "parallel": 4}}},
                "datasets": [
                    {"id": "a", "title": "A", "adapter": "local", "url": "/a", "archive": "isis"},
                    {
                        "id": "b",
                        "title": "B",
                        "adapter": "local",
                        "url": "/b",
                        "archive": "isis",
                        "transfer": {"pattern": "lazy"},
                        "views": {"by-run": {"of": "{run:digits}.nxs", "at": "{run}/"}},
                    },
                ],
            }
        )
    )
    catalogue = Catalogue.from_file(path)
    a, b = catalogue.mounted_for("ada", ["a", "b"])
    assert (a.transfer.pattern, a.transfer.parallel) == (Pattern.MIRROR, 4)
    assert (b.transfer.pattern, b.transfer.parallel) == (Pattern.LAZY, 4)
    assert b.views == (View("by-run", "{run:digits}.nxs", "{run}/"),)
    assert MountedDataset.from_json(b.as_json()) == b
    path.write_text(as_yaml({"datasets": [one.as_written() for one in catalogue.all()]}))
    assert Catalogue.from_file(path).all() == catalogue.all()
