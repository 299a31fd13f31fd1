"""A folder as it is told: the archive's names, unsent files laid over them, in parts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_alc.dms.engine.folders import Overlaid, Told, in_order, part
from jupyter_alc.dms.entry import Entry

pytestmark = pytest.mark.unit

NAMES = st.sets(st.text("abc", min_size=1, max_size=3), max_size=12)


def entries(names, token):
    return [Entry(name, "file", 1, 0.0, token) for name in sorted(names)]


@given(archived=NAMES, unsent=NAMES, limit=st.integers(1, 5))
def test_n10_parts_tell_every_name_once_in_order_and_unsent_files_in_place_of_archived(archived, unsent, limit):
    there, ours = entries(archived, '"archive"'), entries(unsent, '"ours"')
    told, after = [], ""
    while after is not None:
        found = [one for one in there if one.name > after][:limit]
        some = part(found, ours, after, limit, coming=False)
        assert len(some.entries) <= limit
        told += some.entries
        after = some.after
    assert [one.name for one in told] == sorted(archived | unsent)
    assert {one.name for one in told if one.token == '"ours"'} == unsent


class Some:
    """Two names at a time."""

    def __init__(self, found):
        self.found = found

    async def more(self):
        some, self.found = self.found[:2], self.found[2:]
        return some


@given(archived=NAMES, unsent=NAMES)
async def test_n10_pages_tell_every_name_once(archived, unsent):
    pages = Overlaid(Some(entries(archived, '"archive"')), entries(unsent, '"ours"'), lambda one: one)
    told = []
    while some := await pages.more():
        told += some
    assert sorted(one.name for one in told) == sorted(archived | unsent)
    assert {one.name for one in told if one.token == '"ours"'} == unsent
    assert await pages.more() == []
    assert await Told([]).more() == []


async def test_very_many_names_are_put_in_order():
    found = [Entry(f"{number * 7919 % 30_011:05}", "file", 1, 0.0, "") for number in range(30_000)]
    assert await in_order(found) == sorted(found, key=lambda one: one.name)
