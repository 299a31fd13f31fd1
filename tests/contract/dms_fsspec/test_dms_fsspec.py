"""fsspec's own suites, against `dms://` of a running data service on a folder as its archive."""

import os

import fsspec
import pytest
from fsspec.tests import abstract

from jupyter_alc.core.dataset import Access, MountedDataset
from jupyter_alc.dms.filesystem import DmsFileSystem
from jupyter_alc.testing.data_service import DataService

pytestmark = pytest.mark.contract


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    place = tmp_path_factory.mktemp("d")
    (place / "archive").mkdir()
    results = MountedDataset("results", "Results", "local", str(place / "archive"), Access.WRITE)
    running = DataService(place, [results])
    try:
        assert running.start()["ready"]
        yield running
    finally:
        running.stop()


class DmsFixtures(abstract.AbstractFixtures):
    @pytest.fixture
    def fs(self, service):
        return DmsFileSystem(socket=str(service.socket))

    @pytest.fixture
    def fs_path(self, fs):
        path = "results/suite"
        if fs.exists(path):
            fs.rm(path, recursive=True)
        fs.makedirs(path)
        yield path
        if fs.exists(path):
            fs.rm(path, recursive=True)


class TestCopy(abstract.AbstractCopyTests, DmsFixtures):
    """Copying inside the archive."""


class TestGet(abstract.AbstractGetTests, DmsFixtures):
    """Fetching from the archive."""


class TestPut(abstract.AbstractPutTests, DmsFixtures):
    """Bringing to the archive."""


class TestOpen(abstract.AbstractOpenTests, DmsFixtures):
    """Opening files."""


class TestPipe(abstract.AbstractPipeTests, DmsFixtures):
    """Writing whole files."""


def test_is_found_by_its_protocol(service, monkeypatch):
    """`fsspec.open("dms://…")` asks the socket that the environment names."""
    monkeypatch.setenv("ALC_DMS_SOCKET", str(service.socket))
    fsspec.register_implementation("dms", DmsFileSystem, clobber=True)  # the installed package has an entry point
    with fsspec.open("dms://results/by-name.txt", "wb") as opened:
        opened.write(b"found")
    assert fsspec.filesystem("dms").cat_file("dms://results/by-name.txt") == b"found"


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_an_object_made_before_a_fork_works_in_the_child(service):
    """Spark's workers are forked: the child has a loop and connections of its own."""
    fs = DmsFileSystem(socket=str(service.socket))
    fs.pipe_file("results/forked.bin", b"parent")
    child = os.fork()
    if child == 0:
        try:
            os._exit(0 if fs.cat_file("results/forked.bin") == b"parent" else 1)
        finally:
            os._exit(2)
    assert os.waitpid(child, 0)[1] == 0
    assert fs.cat_file("results/forked.bin") == b"parent"


def test_small_reads_ask_for_one_block_and_large_ones_for_what_they_need(service, tmp_path):
    """A file object reads nothing ahead: h5py jumps, and each jump costs one aligned block at most."""
    fs = DmsFileSystem(socket=str(service.socket))
    content = os.urandom(400_000)
    fs.pipe_file("results/blocks.bin", content)
    asked = []
    with fs.open("results/blocks.bin", "rb") as opened:
        fetch = opened._blocks._fetch
        opened._blocks._fetch = lambda start, stop: asked.append((start, stop)) or fetch(start, stop)
        opened.seek(70_000)
        assert opened.read(10) == content[70_000:70_010]
        opened.seek(70_100)
        assert opened.read(10) == content[70_100:70_110]
        opened.seek(1)
        assert opened.read(300_000) == content[1:300_001]
    assert asked == [(65_536, 131_072), (1, 300_001)]
