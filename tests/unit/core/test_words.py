"""The words every part shares: errors, states, names, places."""

from __future__ import annotations

import errno
import pickle
import subprocess
import sys
import traceback

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_alc.core import errors, states
from jupyter_alc.core.dataset import Access, Dataset, MountedDataset
from jupyter_alc.core.names import identifier, slug
from jupyter_alc.core.settings import Places, dms_socket

pytestmark = pytest.mark.unit

FAMILY = errors.family()
TABLES = {
    "machine": (states.MACHINE_MOVES, states.MachineState),
    "allocation": (states.ALLOCATION_MOVES, states.AllocationState),
    "cluster": (states.CLUSTER_MOVES, states.ClusterState),
    "file": (states.FILE_MOVES, states.FileState),
}


@pytest.mark.parametrize("kind", FAMILY, ids=lambda kind: kind.__name__)
def test_an_error_crosses_a_socket_and_a_process_with_its_kind_sentence_and_next_step(kind):
    error = kind("It is gone.", next_step="Look elsewhere.", field="where")
    for copy in (errors.from_json(error.as_json()), pickle.loads(pickle.dumps(error))):
        assert type(copy) is kind
        assert copy.line == "It is gone. Look elsewhere."
        assert copy.field == "where"


def test_a_traceback_tells_the_next_step_once_also_after_a_process():
    error = errors.FileNotThere("There is no dataset 'x' here.", next_step="List the top.")
    for one in (error, pickle.loads(pickle.dumps(error))):
        told = "".join(traceback.format_exception(one)).splitlines()
        assert told[-2:] == ["jupyter_alc.core.errors.FileNotThere: There is no dataset 'x' here.", "List the top."]


def test_every_error_has_a_code_of_its_own_that_its_head_comment_lists():
    codes = [kind.code for kind in FAMILY]
    assert len(codes) == len(set(codes))
    for kind in FAMILY[1:]:
        assert kind.__name__ in errors.__doc__
        assert kind.code in errors.__doc__


@pytest.mark.parametrize(
    ("kind", "number"),
    [
        (errors.FileNotThere, errno.ENOENT),
        (errors.ReadOnly, errno.EROFS),
        (errors.ArchiveUnreachable, errno.EIO),
        (errors.VersionChanged, errno.ESTALE),
        (errors.NoSpace, errno.ENOSPC),
    ],
)
def test_callers_of_a_file_system_see_the_errno_they_know(kind, number):
    with pytest.raises(OSError, match="gone") as caught:
        raise kind("It is gone.")
    assert caught.value.errno == number


def test_an_unknown_code_becomes_the_plain_error_and_keeps_its_sentence():
    assert str(errors.from_json({"code": "new", "message": "Later version."})) == "Later version."


@pytest.mark.parametrize("name", TABLES)
def test_every_state_says_what_may_follow_and_every_other_move_is_refused(name):
    moves, kind = TABLES[name]
    assert set(moves) == set(kind)
    for now in kind:
        for then in kind:
            if states.may_become(moves, now, then):
                assert states.check_move(moves, now, then, "it") is then
            else:
                with pytest.raises(errors.IllegalMove):
                    states.check_move(moves, now, then, "it")


@pytest.mark.parametrize("name", TABLES)
def test_no_state_moves_to_itself(name):
    moves, kind = TABLES[name]
    assert not any(states.may_become(moves, state, state) for state in kind)


@pytest.mark.parametrize("text", ["a", "sans-examples", "x1", "a" * 63])
def test_an_identifier_is_letters_digits_and_inner_hyphens(text):
    assert identifier(text, "dataset") == text


@pytest.mark.parametrize("text", ["", "A", "a\n", "-a", "a-", "a/b", "..", "a" * 64, "ä", "1_0", None, True, 5])
def test_anything_else_is_refused_with_the_field_named(text):
    with pytest.raises(errors.BadInput) as caught:
        identifier(text, "dataset")
    assert caught.value.field == "dataset"
    assert caught.value.next_step


@given(st.text(max_size=80), st.text(max_size=80))
def test_slugs_are_identifiers_and_two_people_never_share_one(one, other):
    assert identifier(slug(one), "slug") == slug(one)
    assert len(slug(one)) <= 32
    assert one == other or slug(one) != slug(other)


@given(st.text(max_size=40))
def test_nobody_can_be_called_like_the_slug_of_another(name):
    taken = slug(name)
    assert taken == name or slug(taken) != taken


def test_a_name_that_is_its_own_slug_stays_readable():
    assert [slug(name) for name in ("ada", "ada-2", "ada-deadbeef")] == ["ada", "ada-2", "ada-deadbeef"]
    assert slug("Ada").startswith("ada-")


def test_a_writer_may_read_and_a_stranger_sees_nothing():
    dataset = Dataset(
        id="results", title="Results", adapter="webdav", url="u", readers=frozenset(), writers=frozenset({"ada"})
    )
    assert dataset.access_of("ada") is Access.WRITE
    assert dataset.access_of("brahe") is None


def test_a_mounted_dataset_travels_whole_and_never_shows_its_credentials():
    mounted = MountedDataset("a", "A", "webdav", "http://x", Access.READ, credentials={"password": "hidden-word"})
    assert MountedDataset.from_json(mounted.as_json()) == mounted
    assert "hidden-word" not in repr(mounted)


def test_places_come_from_the_environment_and_have_defaults():
    places = Places.from_environment({"HOME": "/home/ada", "ALC_CACHE": "/cache"})
    assert str(places.state) == "/home/ada/.local/state/jupyter-alc"
    assert str(places.cache) == "/cache"
    assert str(dms_socket({"ALC_DMS_SOCKET": "/run/x"})) == "/run/x"


def test_importing_the_package_brings_in_nothing_heavy():
    code = (
        "import sys, jupyter_alc; "
        "print([m for m in ('tornado', 'pyspark', 'kubernetes', 'libcloud', 'aiohttp', 'jupyter_server', 'fsspec', "
        "'traitlets', 'pyfuse3') if m in sys.modules])"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert said.stdout.strip() == "[]"
