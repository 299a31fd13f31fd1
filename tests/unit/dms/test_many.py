"""Ranges of many files in as few requests as hold them (R13)."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as some

from jupyter_alc.core.errors import FileNotThere, Unavailable
from jupyter_alc.dms.filesystem import DmsFileSystem
from jupyter_alc.dms.many import MOST_FILES, Asked, batches, ranges_of
from jupyter_alc.dms.ranges import MOST_BYTES, MOST_RANGES, fits

pytestmark = pytest.mark.unit

RANGES = some.tuples(some.integers(-10, MOST_BYTES), some.none() | some.integers(-10, MOST_BYTES))


@given(some.lists(some.lists(RANGES, max_size=3), max_size=200), some.integers(1, MOST_FILES))
def test_every_file_is_asked_for_once_and_no_request_holds_too_much(files, most):
    asked = [Asked(f"raw/{number}", ranges) for number, ranges in enumerate(files)]
    found = list(batches(asked, most))
    assert sorted(one.path for batch in found for one in batch) == sorted(one.path for one in asked)
    for batch in found:
        assert len(batch) <= most
        assert len(batch) == 1 or fits([each for one in batch for each in one.ranges])


def test_a_request_holds_no_more_ranges_than_it_may():
    assert [len(one) for one in batches(Asked("a", [(0, 1)] * 500) for _ in range(5))] == [2, 2, 1]
    assert MOST_RANGES >= 2 * 500


class Counting:
    """A service of a thousand files of ten bytes, one of which is not there."""

    def __init__(self):
        self.requests = 0

    async def many(self, wanted):
        self.requests += 1
        gone = FileNotThere("gone")
        return [gone if one.path == "raw/7" else [bytes(stop - start) for start, stop in one.ranges] for one in wanted]

    async def info(self, path):
        self.requests += 1
        return {"size": 10, "token": "1"}

    async def ranges(self, path, wanted, token=""):
        self.requests += 1
        return [bytes(stop - start) for start, stop in wanted]


async def test_a_thousand_files_are_sixteen_requests_and_an_error_is_its_files_alone():
    service = Counting()
    got = await ranges_of(service, {f"raw/{number}": [(0, 4), (6, 7)] for number in range(1000)})
    assert service.requests == 16
    assert isinstance(got.pop(7), FileNotThere)
    assert got == [[bytes(4), bytes(1)]] * 999


async def test_a_file_whose_bytes_are_not_known_is_asked_for_alone():
    service = Counting()
    assert await ranges_of(service, {"raw/1": [(-3, None)], "raw/2": [(0, 2)]}) == [[bytes(3)], [bytes(2)]]


class Slow(Counting):
    """The same, far away; how many are asked about at once."""

    now = most = 0

    async def info(self, path):
        self.now += 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(0.01)
        self.now -= 1
        return await super().info(path)


async def test_files_whose_bytes_are_not_known_are_asked_for_many_at_once():
    service = Slow()
    got = await ranges_of(service, {f"raw/{number}": [(0, None)] for number in range(100)})
    assert got == [[bytes(10)]] * 100
    assert 16 <= service.most <= MOST_FILES


def test_where_nobody_answers_the_error_stands_in_each_place_or_is_raised(tmp_path):
    (tmp_path / "socket").touch()
    dms = DmsFileSystem(socket=str(tmp_path / "socket"))
    got = dms.cat_ranges(["raw/1", "raw/2", "raw/1"], 0, 4)
    assert [type(one) for one in got] == [Unavailable] * 3
    with pytest.raises(Unavailable):
        dms.cat_ranges(["raw/1", "raw/2"], 0, 4, on_error="raise")
