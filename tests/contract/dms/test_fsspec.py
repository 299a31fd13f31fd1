"""The basic level: the contract's reading half on file systems that fsspec knows, and what an archive file is."""

import io
import tarfile
import uuid
import zipfile

import fsspec
import pytest
from aiohttp import web

from jupyter_alc.core.errors import BadInput, FileNotThere, Missing
from jupyter_alc.dms.adapters.basic import BasicAdapter
from jupyter_alc.dms.adapters.interface import AnsweredBadly, Folders, Uploads
from jupyter_alc.testing.adapters import AdapterContract
from labs.moto import Moto

pytestmark = pytest.mark.contract


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
    adapter = BasicAdapter(f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}/", {})
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
        await runner.cleanup()


class TestS3fs(AdapterContract):
    """s3:// through s3fs, as any other store would be that has an fsspec file system and no adapter of ours."""

    unspeakable = "\n"  # moto finds no way to such a key

    @pytest.fixture
    def bucket(self, store):
        return store.bucket()

    @pytest.fixture
    def put(self, store, bucket):
        return lambda path, data: store.client.put_object(Bucket=bucket, Key=f"top/{path}", Body=data)

    @pytest.fixture
    async def adapter(self, put, store, bucket):
        words = {"key": "a", "secret": "s", "endpoint_url": store.state["endpoint"]}
        return BasicAdapter(f"s3://{bucket}/top", words)


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
