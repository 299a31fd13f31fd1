"""A block's checksum is looked at once a start; R5 of docs/semantics/dms.md."""

import os

import pytest

from jupyter_alc.dms.engine.blocks import BlockFile
from jupyter_alc.dms.engine.looked import MOST_BYTES, Looked
from jupyter_alc.dms.engine.planner import BLOCK, Extent

pytestmark = pytest.mark.unit


def test_r5_what_was_looked_at_is_not_looked_at_again_when_the_file_is_opened_again(tmp_path):
    first = BlockFile(tmp_path / "one", 3 * BLOCK)
    content = os.urandom(2 * BLOCK)
    first.settle(first.store(Extent(0, 2 * BLOCK), content))
    looked = first.looked
    first.close()
    assert looked == b"\1\1\0"
    again = BlockFile(tmp_path / "one", 3 * BLOCK, looked=looked)
    assert again.checked
    assert again.read(0, 2 * BLOCK) == content
    assert again.read(2 * BLOCK, 2 * BLOCK + 1) is None
    again.close()
    anew = BlockFile(tmp_path / "one", 3 * BLOCK)
    assert not anew.checked
    anew.close()


def test_a_block_that_is_not_here_was_not_looked_at_whatever_is_told_of_it(tmp_path):
    file = BlockFile(tmp_path / "one", 2 * BLOCK, looked=b"\1\1")
    assert file.read(0, 1) is None
    file.close()


def test_what_is_known_of_closed_files_is_bounded_and_told_once():
    looked = Looked()
    for number in range(5):
        looked.keep(str(number), b"\1" * (MOST_BYTES // 4 - 256))
    assert looked.take("0") == b""
    assert len(looked.take("4")) == MOST_BYTES // 4 - 256
    assert looked.take("4") == b""


def test_many_small_files_take_no_more_than_the_bound_and_one_that_is_too_large_takes_nothing():
    looked = Looked()
    for number in range(100_000):
        looked.keep(str(number), b"\1")
    assert sum(looked.take(str(number)) == b"\1" for number in range(100_000)) == MOST_BYTES // 257
    looked.keep("small", b"\1")
    looked.keep("large", b"\1" * MOST_BYTES)
    assert (looked.take("small"), looked.take("large")) == (b"\1", b"")


def test_nothing_is_kept_of_a_file_of_which_no_block_was_looked_at():
    looked = Looked()
    for blocks in (b"", b"\0\0"):
        looked.keep("file", blocks)
        assert looked.take("file") == b""
