"""fsspec's own suites, against `dms://` on a folder as its archive: of a running data service, and in process.

Nothing is skipped. fsspec has no abstract suite for `mv`: its tests of moving are of the local file system alone, and
ours are below.
"""

import gc
import json
import os
import time
import warnings

import fsspec
import pytest
from fsspec.asyn import sync
from fsspec.tests import abstract

from jupyter_alc.core.dataset import Access, MountedDataset
from jupyter_alc.core.errors import BadInput, FileNotThere, ReadOnly, VersionChanged
from jupyter_alc.dms import inprocess
from jupyter_alc.dms.filesystem import DmsFileSystem
from jupyter_alc.dms.ranges import MOST_BYTES, MOST_RANGES
from jupyter_alc.testing.data_service import DataService

pytestmark = pytest.mark.contract


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    place = tmp_path_factory.mktemp("d")
    (place / "archive").mkdir()
    folder = str(place / "archive")
    running = DataService(
        place,
        [
            MountedDataset("results", "Results", "local", folder, Access.WRITE),
            MountedDataset("raw", "Raw", "local", folder, Access.READ),
        ],
    )
    try:
        assert running.start()["ready"]
        yield running
    finally:
        running.stop()


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """No data service: this process has an engine of its own, ended with the module."""
    place = tmp_path_factory.mktemp("p")
    (place / "results").mkdir()
    (place / "catalogue.yaml").write_text(
        "datasets:\n"
        f"- {{id: results, title: Results, adapter: local, url: 'file://{place}/results', writers: ['*']}}\n"
        f"- {{id: raw, title: Raw, adapter: local, url: 'file://{place}/results', readers: ['*']}}\n"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ALC_CATALOGUE", str(place / "catalogue.yaml"))
        patch.setenv("ALC_STATE", str(place / "state"))
        patch.setattr(inprocess, "_at_end", lambda _end: None)
        yield DmsFileSystem(socket=str(place / "nobody.sock"))
        mine = inprocess._mine.pop(os.getpid(), None)
        if mine is not None:
            mine.end()


@pytest.fixture(params=["a data service", "in process"])
def dms(request):
    if request.param == "in process":
        return request.getfixturevalue("alone")
    return DmsFileSystem(socket=str(request.getfixturevalue("service").socket))


class DmsFixtures(abstract.AbstractFixtures):
    @pytest.fixture
    def fs(self, dms):
        return dms

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


def test_a_file_moves_inside_a_dataset_and_between_two_paths_of_folders(dms):
    """Moving is a renaming where it can be; a folder's target takes the name of the source."""
    dms.pipe("results/move/a.txt", b"moved")
    dms.mv("results/move/a.txt", "results/move/b.txt")
    assert dms.find("results/move") == ["results/move/b.txt"]
    dms.makedirs("results/move/into")
    dms.mv("results/move/b.txt", "results/move/into/")
    assert dms.cat_file("results/move/into/b.txt") == b"moved"
    with pytest.raises(FileNotFoundError):
        dms.mv("results/move/nobody.txt", "results/move/c.txt")
    with pytest.raises(ReadOnly):
        dms.mv("raw/move/into/b.txt", "raw/b.txt")
    dms.rm("results/move", recursive=True)


CONTENT = os.urandom(9_000_000)


def test_a_file_system_that_nobody_closed_goes_without_a_word(service):
    fs = DmsFileSystem(socket=str(service.socket), skip_instance_cache=True)
    fs.pipe_file("results/one", b"x")
    mine = {id(way._session.connector) for way in fs._accesses.values()}  # others may have left theirs
    assert mine
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        del fs
        for _ in range(10):
            gc.collect()
            time.sleep(0.02)
    assert [str(one.message) for one in said if "Connector" in str(one.message) and id(one.source) in mine] == []


@pytest.fixture
def big(dms):
    path = "results/ranges.bin"
    dms.pipe_file(path, CONTENT)
    return path


def test_many_ranges_of_many_files_come_back_each_in_its_place(dms, big):
    """R13: negative ranges, open ones, one past the end, empty ones, and one larger than any request."""
    dms.pipe_file("results/other.txt", b"0123456789")
    wanted = [
        (big, 5, 10),
        ("results/other.txt", -3, None),
        (big, -7, -2),
        (big, 0, None),
        ("results/other.txt", 8, 99),
        (big, 100, 50),
        (big, 8_999_999, 9_500_000),
        ("dms://results/other.txt", None, 2),
    ]
    got = dms.cat_ranges(*map(list, zip(*wanted, strict=True)))
    whole = {big: CONTENT, "results/other.txt": b"0123456789", "dms://results/other.txt": b"0123456789"}
    assert got == [whole[path][start:stop] for path, start, stop in wanted]


def test_more_ranges_than_a_request_may_hold_are_shared_out(dms, big):
    """R13."""
    starts = [(number * 7919) % 8_900_000 for number in range(MOST_RANGES + 500)]
    got = dms.cat_ranges([big] * len(starts), starts, [start + 9_000 for start in starts])
    assert [start for start, each in zip(starts, got, strict=True) if each != CONTENT[start : start + 9_000]] == []


def test_what_was_written_is_read_on_while_it_is_sent(dms):
    """W20: ranges, an open file and a version by its token, across the moment when the archive confirms it."""
    dms.pipe_file("results/sent.bin", CONTENT)
    told = dms.info("results/sent.bin")
    with dms.open("results/sent.bin", block_size=1 << 16, cache_type="none") as file:
        first = file.read(1 << 16)
        while dms.status()["unsent"]:
            time.sleep(0.1)
        assert first + file.read() == CONTENT
    assert dms.read_version("results/sent.bin", 5, 9, told["token"], "") == CONTENT[5:9]
    dms.pipe_file("results/sent.bin", b"another")
    with pytest.raises(VersionChanged):
        dms.read_version("results/sent.bin", 0, 4, told["token"], "")


def test_a_file_that_is_not_there_spoils_no_other_ones_ranges(dms, big):
    """Its error stands where its bytes would, or is raised."""
    paths = [big, "results/nobody.bin", big]
    got = dms.cat_ranges(paths, 0, 4)
    assert (got[0], type(got[1]), got[2]) == (CONTENT[:4], FileNotThere, CONTENT[:4])
    with pytest.raises(FileNotThere):
        dms.cat_ranges(paths, 0, 4, on_error="raise")
    with pytest.raises(ValueError, match=r"shorter|longer"):
        dms.cat_ranges(paths, [0], 4)


@pytest.mark.parametrize("batch_size", [None, -1, 2, 128])
def test_more_files_than_a_request_may_hold_are_shared_out_whatever_fsspec_is_told(dms, batch_size):
    """R13: fsspec's `batch_size` may be any number."""
    paths = [f"results/batch/{number}.bin" for number in range(70)]
    dms.pipe({path: path.encode() for path in paths if not dms.exists(path)})
    got = dms.cat_ranges(paths, 0, 100, batch_size=batch_size)
    assert got == [path.encode() for path in paths]


def test_a_walk_takes_what_fsspec_says_it_takes(dms):
    """By its place or by its name."""
    dms.pipe_file("results/walk/a/b/c.txt", b"c")
    whole = [
        ("results/walk/a/b", [], ["c.txt"]),
        ("results/walk/a", ["b"], []),
        ("results/walk", ["a"], []),
    ]
    assert list(dms.walk("results/walk", None, False)) == whole
    assert list(dms.walk("results/walk", 2, False)) == whole[1:]
    assert list(dms.walk("results/walk", topdown=True, maxdepth=None)) == whole[::-1]
    seen = []
    assert list(dms.walk("results/nobody", None, True, seen.append)) == []
    assert [type(one) for one in seen] == [FileNotThere]
    with pytest.raises(FileNotThere):
        list(dms.walk("results/nobody", None, True, "raise"))

    async def found():
        return [one async for one in dms._walk("results/walk", None, False, "raise")]

    assert sync(dms.loop, found) == whole


def test_many_small_files_come_whole_each_of_the_version_that_is_meant(dms):
    """R13: one that is another version now is an error in its place."""
    for number in range(3):
        dms.pipe_file(f"results/whole/{number}.bin", b"%d" % number * 10)
    meant = [(one["name"], one["size"], one["token"]) for one in dms.ls("results/whole")]
    dms.pipe_file("results/whole/1.bin", b"another")
    got = dms.read_whole(meant)
    assert (got[0], type(got[1]), got[2]) == (b"0" * 10, VersionChanged, b"2" * 10)


@pytest.mark.parametrize(
    ("ranges", "words"),
    [
        ([[0, MOST_BYTES + 1]], "at most"),
        ([[0, 1]] * (MOST_RANGES + 1), "at most"),
        ([[0, "1"]], "pairs"),
        ([[True, 1]], "pairs"),
        ([[1]], "pairs"),
        (5, "pairs"),
    ],
)
def test_a_request_for_ranges_that_cannot_be_used_is_told_why(service, big, ranges, words):
    """One sentence that names the field; memory is bounded whatever is asked."""

    async def ask(client):
        with pytest.raises(BadInput, match=words) as told:
            await client._json("POST", "/ranges", body=json.dumps({"path": big, "ranges": ranges}).encode())
        assert told.value.field == "ranges"

    DmsFileSystem(socket=str(service.socket)).pipe_file(big, CONTENT)
    service.ask(ask)


def of_raw(fs):
    return next(each for each in fs.status()["datasets"] if each["id"] == "raw")


def planted(service, name, content):
    (service.place / "archive" / name).write_bytes(content)
    return f"raw/{name}"


def test_what_two_ranges_share_is_fetched_once(service):
    """R3 and R13: a thousand ranges within four blocks move these blocks, once."""
    fs = DmsFileSystem(socket=str(service.socket))
    path = planted(service, "shared.bin", CONTENT)
    before, starts = of_raw(fs), [4_000_000 + 200 * number for number in range(1000)]
    got = fs.cat_ranges([path] * 1000, starts, [start + 100 for start in starts])
    assert got == [CONTENT[start : start + 100] for start in starts]
    after = of_raw(fs)
    assert after["moved_bytes"] - before["moved_bytes"] <= 5 * 65536
    assert after["requests"] - before["requests"] <= 6


def test_a_file_object_is_one_stream_over_the_socket(service):
    """R8 and R13: small reads on and on cost few requests, as in the mount."""
    fs = DmsFileSystem(socket=str(service.socket))
    path = planted(service, "stream.bin", CONTENT)
    before = of_raw(fs)
    with fs.open(path) as opened:
        assert b"".join(iter(lambda: opened.read(20_000), b"")) == CONTENT
    after = of_raw(fs)
    assert after["moved_bytes"] - before["moved_bytes"] == len(CONTENT)
    assert after["requests"] - before["requests"] <= 40  # blocks: 138


def test_a_file_object_never_mixes_versions(service):
    """R4: what is not here yet of a version that is gone is an error, never bytes of the next one."""
    fs = DmsFileSystem(socket=str(service.socket))
    path = planted(service, "versions.bin", CONTENT)
    with fs.open(path) as opened:
        assert opened.read(1000) == CONTENT[:1000]
        (service.place / "archive" / "versions.new").write_bytes(CONTENT[::-1])
        (service.place / "archive" / "versions.new").rename(service.place / "archive" / "versions.bin")
        opened.seek(5_000_000)
        with pytest.raises(VersionChanged):
            opened.read(1000)


def test_a_service_that_was_started_anew_goes_on_with_open_files(tmp_path):
    """R13: an open file is no promise that a crash could break."""
    (tmp_path / "archive").mkdir()
    (tmp_path / "archive" / "a.bin").write_bytes(CONTENT)
    raw = MountedDataset("raw", "Raw", "local", str(tmp_path / "archive"), Access.READ)
    running = DataService(tmp_path, [raw])
    try:
        running.start()
        fs = DmsFileSystem(socket=str(running.socket))
        with fs.open("raw/a.bin") as opened:
            assert opened.read(100_000) == CONTENT[:100_000]
            running.kill()
            running.start()
            assert opened.read(200_000) == CONTENT[100_000:300_000]
    finally:
        running.stop()


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
