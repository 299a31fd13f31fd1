"""The basic level: the contract's reading half on file systems that fsspec knows, and what an archive file is."""

import asyncio
import contextlib
import io
import itertools
import os
import tarfile
import uuid
import zipfile

import fsspec
import pytest
from aiohttp import web

from jupyter_alc.core.dataset import Access, MountedDataset
from jupyter_alc.core.errors import (
    ArchiveUnreachable,
    BadInput,
    Denied,
    FileNotThere,
    Missing,
    NotFolder,
    VersionChanged,
)
from jupyter_alc.dms.adapters.basic import BasicAdapter
from jupyter_alc.dms.adapters.interface import AnsweredBadly, Folders, Uploads
from jupyter_alc.dms.adapters.opening import open_adapter
from jupyter_alc.testing.adapters import AdapterContract
from jupyter_alc.testing.faults import Fault, FaultyProxy
from jupyter_alc.testing.faulty_adapters import FaultyAdapterContract
from labs.moto import Moto

pytestmark = pytest.mark.contract


def opened(url, words=()):
    """By the door that the engine takes."""
    return open_adapter(MountedDataset("d", "D", "fsspec", url, Access.READ, credentials=dict(words)))


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    with Moto(tmp_path_factory.mktemp("moto") / "lab") as lab:
        yield lab


class TestMemory(AdapterContract):
    @pytest.fixture
    def top(self):
        top = f"/{uuid.uuid4().hex}"
        fsspec.filesystem("memory").makedirs(top)
        yield top
        fsspec.filesystem("memory").rm(top, recursive=True)

    @pytest.fixture
    def put(self, top):
        return lambda path, data: fsspec.filesystem("memory").pipe_file(f"{top}/{path}", data)

    @pytest.fixture
    async def adapter(self, put, top):
        return BasicAdapter(f"memory:/{top}", {})


@pytest.mark.parametrize("told", [True, False])
async def test_a_size_that_a_listing_leaves_out_is_asked_for_and_never_taken_for_none(told, tmp_path):
    """fsspec's http:// lists names alone."""
    (tmp_path / "file").write_bytes(b"abc" * 1000)
    app = web.Application()
    app.router.add_static("/", tmp_path, show_index=True)

    async def untold(_, response):
        if not told and response.content_type != "text/html":
            response.headers.pop("Content-Length", None)
            response.headers.pop("Content-Range", None)
            response.headers.pop("Accept-Ranges", None)

    app.on_response_prepare.append(untold)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    adapter = opened(f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}/")
    try:
        if told:
            [one] = await adapter.listing("")
            assert (one.name, one.size) == ("file", 3000)
            assert await adapter.read_range("file", 2, 5, one.token) == b"cab"
        else:
            for asked in (adapter.listing(""), adapter.info("file")):
                with pytest.raises(AnsweredBadly):
                    await asked
    finally:
        await adapter.close()
        await runner.cleanup()


class TestS3fs(AdapterContract, FaultyAdapterContract):
    """s3:// through s3fs, as any other store would be that has an fsspec file system and no adapter of ours."""

    unspeakable = "\n"  # moto finds no way to such a key

    @pytest.fixture(autouse=True)
    def soon(self, monkeypatch):
        """Before its second try botocore waits half a second, on average."""
        monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0.01)

    @pytest.fixture
    def bucket(self, store):
        return store.bucket()

    @pytest.fixture
    def plant(self, store, bucket):
        return lambda key, data: store.client.put_object(Bucket=bucket, Key=key, Body=data)

    @pytest.fixture
    def put(self, plant):
        return lambda path, data: plant(f"top/{path}", data)

    @pytest.fixture
    def adapter_at(self, bucket):
        return lambda at: opened(f"s3://{bucket}/top", {"key": "a", "secret": "s", "endpoint_url": f"http://{at}"})

    @pytest.fixture
    def archive_at(self, store):
        return "127.0.0.1", int(store.state["endpoint"].rpartition(":")[2])

    @pytest.fixture
    async def adapter(self, put, adapter_at, archive_at):
        host, port = archive_at
        adapter = adapter_at(f"{host}:{port}")
        yield adapter
        await adapter.close()

    async def test_a_folders_marker_is_no_file_in_it_whatever_it_holds(self, adapter, put):
        put("made/", b"")
        put("noted/", b"bytes that no file of a folder has")
        put("noted/file", b"x")
        assert [(one.name, one.kind) for one in await adapter.listing("")] == [
            ("made", "directory"),
            ("noted", "directory"),
        ]
        assert await adapter.listing("made") == []
        assert [one.name for one in await adapter.listing("noted")] == ["file"]
        for path in ("made", "noted"):
            assert (await adapter.info(path)).is_folder
        for path in ("made/made", "noted/", "noted/noted"):
            with pytest.raises(FileNotThere):
                await adapter.info(path)

    async def test_n8_keys_that_can_be_no_names_are_left_out_and_never_reached(self, adapter, put):
        for path in ("/empty", "a//b", "../up", "./here", "a/.alc-upload-1", "a/good"):
            put(path, b"x")
        assert [one.name for one in await adapter.listing("")] == ["a"]
        assert [one.name for one in await adapter.listing("a")] == ["good"]
        for path in ("a//b", "../up", "./here", "/empty", "."):
            with pytest.raises(FileNotThere):
                await adapter.info(path)

    async def test_a_folder_hides_a_file_of_its_name_in_listings(self, adapter, put):
        put("run", b"hidden")
        put("run/42.nxs", b"42")
        assert [(one.name, one.kind) for one in await adapter.listing("")] == [("run", "directory")]

    @pytest.mark.parametrize(
        "fault", [Fault.OTHER_RANGE, Fault.OTHER_VERSION, Fault.LONG, Fault.SHORT, Fault.ENDLESS, Fault.PAGE]
    )
    async def test_every_answer_of_a_read_is_looked_at(self, adapter_at, archive_at, put, fault):
        """s3fs hands over whatever bytes it gets."""
        data = bytes(range(256)) * 40
        put("run/file", data)
        with FaultyProxy(*archive_at) as proxy:
            adapter = adapter_at(proxy.address)
            seen = await adapter.info("run/file")
            for before in range(3):
                proxy.faults = iter([*[None] * before, fault])
                with contextlib.suppress(ArchiveUnreachable, VersionChanged):
                    assert await adapter.read_range("run/file", 1000, 3000, seen.token) == data[1000:3000]
            proxy.faults, asked = iter(()), proxy.counted.requests
            assert await adapter.read_range("run/file", 1000, 3000, seen.token) == data[1000:3000]
            assert proxy.counted.requests - asked == 1
            await adapter.close()

    @pytest.mark.parametrize("fault", [Fault.PAGE, Fault.REFUSED, Fault.BROKEN, Fault.GATEWAY, Fault.UNKNOWN])
    async def test_no_page_and_no_refusal_is_an_absence(self, adapter_at, archive_at, put, fault):
        """Whichever of the requests of a question meets it: a name that is not there takes two."""
        put("run/file", b"x")
        with FaultyProxy(*archive_at) as proxy:
            adapter = adapter_at(proxy.address)
            for ask, path in ((adapter.info, "absent"), (adapter.info, "run"), (adapter.listing, "run")):
                for before in range(2 if ask == adapter.info else 1):
                    proxy.faults = itertools.chain([None] * before, itertools.repeat(fault))
                    with pytest.raises((ArchiveUnreachable, Denied)):
                        await ask(path)
            await adapter.close()

    async def test_an_archive_that_hangs_holds_up_nothing_but_itself(self, adapter_at, archive_at, put):
        """However many questions wait for it, what others do beside the loop goes on."""
        put("file", b"x")
        with FaultyProxy(*archive_at) as proxy:
            adapter, proxy.faults = adapter_at(proxy.address), itertools.repeat(Fault.HUNG)
            asked = [asyncio.ensure_future(adapter.info("file")) for _ in range(64)]
            while not proxy.counted.requests:
                await asyncio.sleep(0.01)
            assert await asyncio.wait_for(asyncio.to_thread(lambda: "others"), 5) == "others"
            assert not any(one.done() for one in asked)
            for one in asked[8:]:
                one.cancel()
        for one in await asyncio.gather(*asked, return_exceptions=True):
            assert isinstance(one, ArchiveUnreachable | asyncio.CancelledError)
        await adapter.close()

    async def test_a_file_that_has_become_shorter_is_another_version(self, adapter, put):
        put("file", b"long enough")
        token = (await adapter.info("file")).token
        put("file", b"x")
        with pytest.raises(VersionChanged):
            await adapter.read_range("file", 5, 8, token)


class OnAnArchiveFile(AdapterContract):
    """A ZIP or TAR file in a folder: put writes all of it anew, and what is read is what it holds now."""

    @pytest.fixture
    def put(self, tmp_path):
        held = {}

        def put(path, data):
            held[path] = data
            self.write(tmp_path / "new", held)
            (tmp_path / "new").replace(tmp_path / "runs")

        return put

    @pytest.fixture
    async def adapter(self, put, address):
        adapter = BasicAdapter(address, {})
        yield adapter
        await adapter.close()

    async def test_many_files_are_read_at_once_each_exact(self, adapter, put):
        """The file system has one place in the file for all who read; its table is made at the first question."""
        files = {f"run/{number}": os.urandom(50_000) for number in range(16)}
        for name, data in files.items():
            put(name, data)
        seen = dict(zip(files, await asyncio.gather(*map(adapter.info, files)), strict=True))
        for _ in range(5):
            reads = [adapter.read_range(name, 100, 49_000, seen[name].token) for name in files]
            assert await asyncio.gather(*reads) == [data[100:49_000] for data in files.values()]

    async def test_no_read_mixes_an_archive_file_with_the_one_that_replaced_it(self, adapter, put):
        """Of the same size, the same time and the same places in it."""
        old, new = os.urandom(12 << 20), os.urandom(12 << 20)
        put("big", old)
        token = (await adapter.info("big")).token
        assert await adapter.read_range("big", 0, 1 << 20, token) == old[: 1 << 20]
        put("big", new)
        with pytest.raises(VersionChanged):
            await adapter.read_range("big", 8 << 20, 9 << 20, token)
        seen = await adapter.info("big")
        assert await adapter.read_range("big", 8 << 20, 9 << 20, seen.token) == new[8 << 20 : 9 << 20]


class OnAZipFile(OnAnArchiveFile):
    def write(self, to, held):
        with zipfile.ZipFile(to, "w") as made:
            for name, data in held.items():
                made.writestr(zipfile.ZipInfo(name), data)


class OnATarFile(OnAnArchiveFile):
    def write(self, to, held):
        with tarfile.open(to, "w") as made:
            for name, data in held.items():
                about = tarfile.TarInfo(name)
                about.size = len(data)
                made.addfile(about, io.BytesIO(data))


class BehindAFolder:
    protocol: str

    @pytest.fixture
    def address(self, tmp_path):
        return f"{self.protocol}::file://{tmp_path}/runs"


class BehindHttp:
    protocol: str
    etags = True

    @pytest.fixture
    async def address(self, tmp_path):
        async def prepared(_, response):
            if not self.etags:
                response.headers.pop("ETag", None)

        app = web.Application()
        app.router.add_static("/", tmp_path)
        app.on_response_prepare.append(prepared)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield f"{self.protocol}::http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}/runs"
        await runner.cleanup()


class TestZipInAFolder(BehindAFolder, OnAZipFile):
    protocol = "zip"


class TestZipBehindHttp(BehindHttp, OnAZipFile, FaultyAdapterContract):
    protocol = "zip"

    @pytest.fixture
    def archive_at(self, address):
        return "127.0.0.1", int(address.rpartition(":")[2].partition("/")[0])

    @pytest.fixture
    def adapter_at(self):
        return lambda at: BasicAdapter(f"zip::http://{at}/runs", {})

    @pytest.mark.parametrize(
        "fault",
        [Fault.OTHER_RANGE, Fault.OTHER_VERSION, Fault.LONG, Fault.SHORT, Fault.CUT, Fault.PAGE, Fault.RANGE_IGNORED],
    )
    async def test_every_answer_is_looked_at_and_nothing_of_a_bad_one_is_kept(self, adapter_at, archive_at, put, fault):
        """fsspec's HTTP file takes any part of any version, and keeps what it got."""
        data = os.urandom(13 << 20)
        put("big", data)
        with FaultyProxy(*archive_at) as proxy:
            for before in range(5):
                adapter, proxy.faults = adapter_at(proxy.address), iter([*[None] * before, fault])
                with contextlib.suppress(ArchiveUnreachable):
                    assert (await adapter.info("big")).size == len(data)
                proxy.faults = iter(())
                token = (await adapter.info("big")).token
                proxy.faults = iter([*[None] * before, fault])
                with contextlib.suppress(ArchiveUnreachable, VersionChanged):
                    assert await adapter.read_range("big", 11 << 20, 12 << 20, token) == data[11 << 20 : 12 << 20]
                proxy.faults = iter(())
                assert await adapter.read_range("big", 11 << 20, 12 << 20, token) == data[11 << 20 : 12 << 20]
                await adapter.close()


class TestTarInAFolder(BehindAFolder, OnATarFile):
    protocol = "tar"


class TestTarBehindHttp(BehindHttp, OnATarFile):
    protocol = "tar"


class TestTarBehindHttpWithoutEtags(BehindHttp, OnATarFile):
    """Its time alone tells versions apart, in whole seconds."""

    protocol, etags = "tar", False

    def write(self, to, held):
        super().write(to, held)
        self.written = getattr(self, "written", 1_000_000_000) + 1
        os.utime(to, (self.written, self.written))


async def test_an_archive_that_is_away_when_it_is_opened_is_no_absence_and_is_there_when_it_is_back(tmp_path):
    """Nothing is opened before the first question, and the ZIP file's own absence is none of a file in it."""
    adapter = BasicAdapter(f"zip::file://{tmp_path}/runs.zip", {})
    for ask in (adapter.info, adapter.listing):
        with pytest.raises(ArchiveUnreachable):
            await ask("run")
    with zipfile.ZipFile(tmp_path / "runs.zip", "w") as made:
        made.writestr("run/42.nxs", b"abcdefgh")
    assert (await adapter.info("run/42.nxs")).size == 8


async def test_a_server_that_is_away_or_fails_is_no_absence_behind_a_chain_either():
    """fsspec's http:// takes every failure for an absence."""

    async def fails(_request):
        raise web.HTTPInternalServerError

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", fails)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        for port in (site._server.sockets[0].getsockname()[1], 9):
            adapter = BasicAdapter(f"zip::http://127.0.0.1:{port}/runs.zip", {})
            for ask in (adapter.info, adapter.listing):
                with pytest.raises(ArchiveUnreachable):
                    await ask("run")
            await adapter.close()
    finally:
        await runner.cleanup()


async def test_links_are_what_they_lead_to_and_what_is_neither_file_nor_folder_is_not_there(tmp_path):
    """fsspec's listing tells links as something else, and a look at one as what it leads to."""
    (tmp_path / "real").mkdir()
    (tmp_path / "real/file").write_bytes(b"abc")
    (tmp_path / "file").symlink_to("real/file")
    (tmp_path / "folder").symlink_to("real")
    (tmp_path / "nowhere").symlink_to("absent")
    os.mkfifo(tmp_path / "queue")
    adapter = BasicAdapter(f"file://{tmp_path}", {})
    told = {one.name: one for one in await adapter.listing("")}
    assert {name: one.kind for name, one in told.items()} == {
        "real": "directory",
        "folder": "directory",
        "file": "file",
    }
    assert told["file"] == await adapter.info("file")
    assert await adapter.read_range("file", 1, 3, told["file"].token) == b"bc"
    for path in ("queue", "nowhere"):
        with pytest.raises(FileNotThere):
            await adapter.info(path)
    with pytest.raises(NotFolder):
        await adapter.listing("file")


@pytest.mark.parametrize(
    ("url", "instead"),
    [
        ("http://host/folder", "Write adapter: http."),
        ("dir::http://host/folder", "Write adapter: http."),
        ("simplecache::s3://bucket/folder", "Leave out simplecache:: as DMS has a cache."),
        ("zip::filecache::https://host/runs.zip", "Leave out filecache:: as DMS has a cache."),
        ("ftp://ada:secret@host/folder", "Ask for the files by HTTP, SFTP or S3."),
    ],
)
def test_what_would_be_told_wrongly_is_not_opened_and_no_secret_is_told(url, instead):
    """Folders taken for files, failures for absences, copies for what is there now."""
    with pytest.raises(BadInput) as caught:
        BasicAdapter(url, {})
    assert caught.value.next_step == instead
    assert "secret" not in str(caught.value)


async def test_an_archive_file_may_be_elsewhere_than_where_it_was_asked_for(tmp_path):
    """A link to a release leads to where it is kept; what is sent on the way has no version of the file."""
    with zipfile.ZipFile(tmp_path / "runs.zip", "w") as made:
        made.writestr("run/42.nxs", b"abcdefgh")

    async def elsewhere(_request):
        raise web.HTTPFound("/kept/runs.zip", headers={"ETag": '"of the link"'})

    app = web.Application()
    app.router.add_get("/latest.zip", elsewhere)
    app.router.add_static("/kept", tmp_path)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        adapter = BasicAdapter(f"zip::http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}/latest.zip", {})
        token = (await adapter.info("run/42.nxs")).token
        assert await adapter.read_range("run/42.nxs", 2, 5, token) == b"cde"
        await adapter.close()
    finally:
        await runner.cleanup()


async def test_a_damaged_file_in_an_archive_file_is_told_as_that_and_the_archive_is_not_away(tmp_path):
    with zipfile.ZipFile(tmp_path / "runs.zip", "w") as made:
        made.writestr("bad", b"abcdefgh" * 1000)
        made.writestr("good", b"abcdefgh")
    text = (tmp_path / "runs.zip").read_bytes()
    (tmp_path / "runs.zip").write_bytes(text.replace(b"abcdefgh", b"abcdefgX", 1))
    adapter = BasicAdapter(f"zip::file://{tmp_path}/runs.zip", {})
    bad, good = [await adapter.info(name) for name in ("bad", "good")]
    with pytest.raises(AnsweredBadly, match="bad is damaged"):
        await adapter.read_range("bad", 0, 8000, bad.token)
    assert await adapter.read_range("good", 0, 8, good.token) == b"abcdefgh"
    await adapter.close()


async def test_a_zip_file_is_read_as_it_was_when_it_was_opened(tmp_path):
    with zipfile.ZipFile(tmp_path / "runs.zip", "w") as made:
        made.writestr("run/42.nxs", b"abcdefgh")
        made.writestr("run/deep/a.txt", b"a")
    adapter = BasicAdapter(f"zip::file://{tmp_path}/runs.zip", {})
    assert sorted((one.name, one.kind) for one in await adapter.listing("run")) == [
        ("42.nxs", "file"),
        ("deep", "directory"),
    ]
    seen = await adapter.info("run/42.nxs")
    assert await adapter.read_range("run/42.nxs", 2, 5, seen.token) == b"cde"
    with pytest.raises(FileNotThere):
        await adapter.info("run/43.nxs")


async def test_a_tar_file_is_read_by_a_chained_address(tmp_path):
    with tarfile.open(tmp_path / "runs.tar", "w") as made:
        about = tarfile.TarInfo("run/42.nxs")
        about.size = 8
        made.addfile(about, io.BytesIO(b"abcdefgh"))
    adapter = BasicAdapter(f"tar::file://{tmp_path}/runs.tar", {})
    seen = await adapter.info("run/42.nxs")
    assert (seen.size, await adapter.read_range("run/42.nxs", 6, 8, seen.token)) == (8, b"gh")


def test_the_basic_level_takes_nothing_and_says_what_it_lacks():
    adapter = BasicAdapter("memory://somewhere", {})
    assert not isinstance(adapter, Uploads | Folders)
    with pytest.raises((Missing, BadInput)):
        BasicAdapter("no-such-protocol://x", {})
