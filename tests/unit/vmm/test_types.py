"""Machine types from a file that people write, and the names and numbers of people."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_alc.core.errors import BadFile, BadInput
from jupyter_alc.vmm.people import Person, account_name
from jupyter_alc.vmm.types import DEFAULT_TYPES, parse_bytes, read_machine_types

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.unit

GOOD = """\
# what the form offers
- id: small
  title: General
  cores: 2
  memory_bytes: 3 GB
  environment: spark
- id: gpu
  title: "Two GPUs"
  cores: 8
  memory_bytes: 64 GiB
  environment: python
  min_ready: 0
  max_total: 1
  users: [ada]
"""


def test_a_good_file_is_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "types.yaml"
    path.write_text(GOOD)
    small, gpu = read_machine_types(path)
    assert (small.id, small.memory_bytes, small.min_ready, small.max_total) == ("small", 3 * 10**9, 1, 4)
    assert (gpu.memory_bytes, gpu.offered_to("ada"), gpu.offered_to("brahe")) == (64 * 2**30, True, False)


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("cores: 2", "cores: two", 4, "cores is not a whole number"),
        ("cores: 2", "core: 2", 4, "'core' is not a setting"),
        ("3 GB", "3 bananas", 5, "is not a size"),
        ("3 GB", "1 kB", 5, "memory_bytes"),
        ("id: gpu", "id: small", 7, "there twice"),
        ("id: gpu", "id: GPU!", 7, "not a machine type id"),
        ("  title: General\n", "", 2, "lacks title"),
        ("min_ready: 0", "min_ready: 2", 12, "min_ready is not between 0 and max_total"),
        ("users: [ada]", "users: ada", 14, "users is not a list of names"),
        ("title: General", "title: [General", 3, "never closed"),
        ("cores: 8", "cores: 8\n  cores: 9", 10, "there twice"),
    ],
)
def test_a_mistake_is_told_with_file_line_and_what_to_write(
    tmp_path: Path, old: str, new: str, line: int, words: str
) -> None:
    path = tmp_path / "types.yaml"
    path.write_text(GOOD.replace(old, new, 1))
    with pytest.raises(BadFile) as caught:
        read_machine_types(path)
    assert f"{path}, line {line}:" in str(caught.value)
    assert words in str(caught.value)
    assert caught.value.next_step


@pytest.mark.parametrize("text", ["", "id: small", "- small", "[]", "\x00", "- {}", "- ? [1]\n  : 2"])
def test_a_file_that_is_no_list_of_types_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "types.yaml"
    path.write_text(text)
    with pytest.raises(BadFile):
        read_machine_types(path)


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match="cannot be read"):
        read_machine_types(tmp_path / "none")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(BadFile, match="not UTF-8"):
        read_machine_types(tmp_path / "binary")


@pytest.mark.parametrize(
    ("told", "size"),
    [("2 GB", 2 * 10**9), ("512MiB", 2**29), ("1.5 GB", 1_500_000_000), (7, 7), ("100", 100), ("0.000001 MB", 1)],
)
def test_sizes(told: object, size: int) -> None:
    assert parse_bytes(told) == size


@pytest.mark.parametrize("told", ["", "GB", "-1 GB", "1e9", "2 GB\n!", True, None, 1.5, "٣ GB"])
def test_what_is_no_size(told: object) -> None:
    if told == "٣ GB":  # digits of other scripts read as digits, and mean them
        assert parse_bytes(told) == 3 * 10**9
        return
    with pytest.raises(BadInput):
        parse_bytes(told)


def test_the_default_types_really_differ() -> None:
    small, large = DEFAULT_TYPES
    assert small.cores != large.cores
    assert small.memory_bytes != large.memory_bytes
    assert small.environment != large.environment


@given(st.text(min_size=1, max_size=60), st.text(min_size=1, max_size=60))
def test_accounts_are_safe_names_and_no_two_people_share_one(one: str, other: str) -> None:
    name = account_name(one)
    assert name.replace("-", "").isalnum()
    assert name.isascii()
    assert len(name) <= 32
    assert one == other or name != account_name(other)


@given(st.sampled_from(["Ada", "root", "7up", "a.b", "ada"]))
def test_nobody_gets_anothers_account_by_being_called_like_it(one: str) -> None:
    taken = account_name(one)
    assert taken == one or account_name(taken) != taken


def test_no_account_is_a_systems() -> None:
    assert account_name("alc-dms") != "alc-dms"
    assert account_name("root") != "root"
    assert account_name("ada") == "ada"
    assert Person("ada", 2).uids(isolated=True)["uid"] == 53004
