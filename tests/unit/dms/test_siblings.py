"""R10: who opens small files in the order of their folder gets the next ones ahead."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_alc.dms.engine.siblings import MOST_BYTES, MOST_NAMES, Siblings

pytestmark = pytest.mark.unit
KIB = 1024


def folder(count):
    return {f"run-{number:05}.dat" for number in range(count)}


def walk(siblings, names, order, sizes=None):
    return [siblings.opened("d", name, names, (sizes or dict.fromkeys(names, 4 * KIB)).get) for name in order]


def test_r10_the_third_in_a_row_brings_8_then_16_32_and_at_most_64():
    names = folder(1000)
    got = walk(Siblings(), names, sorted(names))
    assert [len(one) for one in got if one][:6] == [8, 16, 32, 64, 64, 64]
    assert [len(one) for one in got][:3] == [0, 0, 8]
    assert [name for one in got for name in one] == sorted(names)[3:]


def test_r10_nobody_waits_again_once_it_goes():
    names, here, siblings = folder(300), set(), Siblings()
    for number, name in enumerate(sorted(names)):
        assert number < 3 or name in here
        here.update(siblings.opened("d", name, names, dict.fromkeys(names, 1).get))


def test_r10_another_order_gets_nothing_and_ends_it():
    names, rng = folder(1000), random.Random(7)
    shuffled = rng.sample(sorted(names), 300)
    assert sum(len(one) for one in walk(Siblings(), names, shuffled)) <= 16
    siblings = Siblings()
    walk(siblings, names, sorted(names)[:100])
    assert walk(siblings, names, ["run-00900.dat", "run-00901.dat"]) == [[], []]
    assert len(walk(siblings, names, ["run-00902.dat"])[0]) == 8


def test_r10_large_files_and_folders_between_are_stepped_over():
    sizes = {f"{number:03}{end}": size for number in range(50) for end, size in ((".dat", 4 * KIB), (".nxs", None))}
    got = walk(Siblings(), set(sizes), [f"{number:03}.dat" for number in range(50)], sizes)
    assert [name for one in got for name in one] == [f"{number:03}.dat" for number in range(3, 50)]


def test_r10_a_batch_is_at_most_8_mib():
    names = folder(200)
    for one in walk(Siblings(), names, sorted(names), dict.fromkeys(names, 256 * KIB)):
        assert len(one) * 256 * KIB <= MOST_BYTES


def test_r10_a_folder_not_listed_or_far_too_large_is_left_alone():
    names = folder(MOST_NAMES + 1)
    assert walk(Siblings(), names, sorted(names)[:10]) == [[]] * 10
    assert walk(Siblings(), None, ["a", "b", "c", "d"], {"a": 1}) == [[]] * 4


@given(st.lists(st.integers(0, 99), max_size=300))
def test_r10_whatever_the_order_only_names_of_the_folder_come_and_never_the_one_just_opened(order):
    names = folder(100)
    for number, got in zip(order, walk(Siblings(), names, [f"run-{number:05}.dat" for number in order]), strict=True):
        assert set(got) <= names
        assert f"run-{number:05}.dat" not in got
        assert len(got) == len(set(got)) <= 64
