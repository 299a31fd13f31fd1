"""The small decisions of the doors: errnos, ranges, paths, orders, blocks, the table of mounts."""

import errno
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_alc.core import errors
from jupyter_alc.core.errors import BadInput
from jupyter_alc.dms.daemon.order import Order
from jupyter_alc.dms.files import BLOCK_BYTES, AlignedBlocks
from jupyter_alc.dms.filesystem import DmsFileSystem
from jupyter_alc.dms.fuse.errnos import errno_of
from jupyter_alc.dms.fuse.table import _row
from jupyter_alc.dms.paths import clean_path
from jupyter_alc.dms.ranges import extent

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("kind", "number"),
    [
        (errors.FileNotThere, errno.ENOENT),
        (errors.ReadOnly, errno.EROFS),
        (errors.VersionChanged, errno.ESTALE),
        (errors.ArchiveUnreachable, errno.EIO),
        (errors.TooLate, errno.EIO),
        (errors.NoSpace, errno.ENOSPC),
        (errors.Denied, errno.EACCES),
        (errors.AlcError, errno.EIO),
    ],
)
def test_each_of_our_errors_has_its_errno(kind, number):
    """What could not be asked is never "not there"."""
    assert errno_of(kind("x")) == number


def test_a_foreign_error_keeps_its_errno_and_an_unknown_one_is_eio():
    """The mount explains nothing away."""
    assert errno_of(OSError(errno.ENOTEMPTY, "x")) == errno.ENOTEMPTY
    assert errno_of(KeyError("x")) == errno.EIO


@given(st.integers(0, 1000), st.integers(-1200, 1200), st.none() | st.integers(-1200, 1200))
def test_a_range_is_that_of_a_slice(size, start, stop):
    """Negative numbers count from the end, and nothing reaches outside."""
    first, end = extent(size, start, stop)
    assert bytes(size)[first:end] == bytes(size)[start:stop]
    assert 0 <= first <= end <= max(size, first)


@pytest.mark.parametrize("path", ["a/../b", "..", "a//b", "./a", "a/.", "a\0b"])
def test_a_path_that_leads_elsewhere_is_refused(path):
    """Not to be trusted: it comes over the socket."""
    with pytest.raises(BadInput):
        clean_path(path)


def test_slashes_at_the_ends_are_nothing():
    """As people write paths."""
    assert clean_path("/ds/a/") == "ds/a"
    assert clean_path("") == ""


@pytest.mark.parametrize(
    ("given_path", "plain"),
    [("dms://ds/a/b", "ds/a/b"), ("dms:///ds/", "ds"), ("ds/a", "ds/a"), ("dms://", ""), ("/ds/dms:x", "ds/dms:x")],
)
def test_the_protocol_is_taken_off(given_path, plain):
    """Any way of writing it names the same file."""
    assert DmsFileSystem._strip_protocol(given_path) == plain


@given(st.data())
def test_aligned_blocks_give_the_very_bytes_and_fetch_only_what_is_touched(data):
    """Small reads cost at most the blocks they touch, large ones exactly themselves."""
    content = bytes(range(256)) * 1024
    fetched = []
    blocks = AlignedBlocks(lambda start, stop: fetched.append((start, stop)) or content[start:stop], len(content))
    start = data.draw(st.integers(0, len(content)))
    stop = data.draw(st.integers(start, len(content) + 10))
    assert blocks.read(start, stop) == content[start:stop]
    for first, last in fetched:
        assert last - first <= max(BLOCK_BYTES, stop - start)
        assert first <= stop
        assert last >= start


SECRET = {"p": "s3cret"}
DATASET = {"id": "a", "title": "A", "adapter": "local", "url": "/a", "access": "read", "credentials": SECRET}
ORDER = {
    "user": "ada",
    "socket": "/run/s",
    "volume": "/v",
    "admit_uids": [1000, 0],
    "files_uid": 1000,
    "files_gid": 1000,
    "datasets": [DATASET],
}


def test_an_order_is_read_over_several_lines_and_what_follows_is_left():
    """The sender may keep the pipe open."""
    stream = io.StringIO(json.dumps(ORDER, indent=1) + "\nmore\n")
    order = Order.read(stream)
    assert order.admit_uids == {0, 1000}
    assert stream.read() == "more\n"


def test_an_order_does_not_show_its_credentials():
    """Whoever logs it logs no secret."""
    assert "s3cret" not in repr(Order.from_json(ORDER))


@pytest.mark.parametrize(
    "wrong",
    [
        {"user": ""}, {"socket": None}, {"admit_uids": ["root"]}, {"files_uid": True}, {"files_gid": -1},
        {"datasets": [{"id": "a"}]}, {"datasets": [{**DATASET, "access": "all"}]}, {"run_as_uid": "dms"},
    ],
    ids=["user", "socket", "admit", "bool", "negative", "lacking", "access", "name"],
)  # fmt: skip
def test_a_wrong_order_names_its_field(wrong):
    """Checked whole before anything is touched."""
    with pytest.raises(BadInput) as raised:
        Order.from_json({**ORDER, **wrong})
    assert raised.value.next_step


def test_a_row_of_the_mount_table_is_read_with_its_blanks():
    """The kernel writes blanks as octal numbers."""
    row = _row(r"84 24 0:49 / /home/ada\040l/data rw,nosuid shared:7 - fuse dms rw,user_id=0,group_id=0,allow_other")
    assert (row.where, row.kind, row.source, row.device) == ("/home/ada l/data", "fuse", "dms", "0:49")
    assert "user_id=0" in row.options.split(",")
