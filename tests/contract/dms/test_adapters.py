"""The shipped contract, against every adapter we ship."""

from __future__ import annotations

import os
import shutil

import pytest

from jupyter_alc.core.errors import ArchiveUnreachable, BadInput, Denied
from jupyter_alc.dms.adapters.basic import BasicAdapter
from jupyter_alc.dms.adapters.local import LocalAdapter
from jupyter_alc.dms.adapters.webdav import WebdavAdapter
from jupyter_alc.dms.tokens import is_unsettled
from jupyter_alc.testing.adapters import AdapterContract, FaultyAdapterContract
from jupyter_alc.testing.archive_service import ArchiveService

pytestmark = pytest.mark.contract


def planter(top):
    def put(path, data):
        (top / path).parent.mkdir(parents=True, exist_ok=True)
        (top / f".{os.getpid()}.plant").write_bytes(data)
        (top / f".{os.getpid()}.plant").replace(top / path)

    return put


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    service = ArchiveService(tmp_path_factory.mktemp("archive"))
    service.start()
    yield service
    service.stop()


class TestLocal(AdapterContract):
    @pytest.fixture
    def put(self, tmp_path):
        (tmp_path / "archive").mkdir()
        return planter(tmp_path / "archive")

    @pytest.fixture
    async def adapter(self, put, tmp_path):
        return LocalAdapter(f"file://{tmp_path}/archive", {})

    async def test_follows_no_link_out_of_its_folder(self, adapter, tmp_path):
        (tmp_path / "secret").write_text("x")
        (tmp_path / "archive" / "link").symlink_to(tmp_path)
        with pytest.raises(FileNotFoundError):
            await adapter.info("link/secret")
        assert await adapter.listing("") == []


class TestFsspec(AdapterContract):
    @pytest.fixture
    def put(self, tmp_path):
        (tmp_path / "archive").mkdir()
        return planter(tmp_path / "archive")

    @pytest.fixture
    async def adapter(self, put, tmp_path):
        return BasicAdapter(f"file://{tmp_path}/archive", {})


class TestWebdav(AdapterContract, FaultyAdapterContract):
    @pytest.fixture
    def put(self, archive):
        for one in archive.results("ada").iterdir():
            shutil.rmtree(one) if one.is_dir() else one.unlink()
        return planter(archive.results("ada"))

    @pytest.fixture
    async def adapter(self, put, archive):
        adapter = WebdavAdapter(archive.dataset("ada").url, archive.dataset("ada").credentials)
        yield adapter
        await adapter.close()

    @pytest.fixture
    def archive_at(self, archive):
        return "127.0.0.1", archive.port

    @pytest.fixture
    def adapter_at(self, archive):
        return lambda at: WebdavAdapter(f"http://{at}/results/ada", archive.dataset("ada").credentials)

    async def test_says_that_its_tokens_are_weak(self, adapter, put):
        put("file", b"x")
        assert "whole seconds" not in adapter.capabilities.guarantee
        assert is_unsettled((await adapter.info("file")).token)
        assert "whole seconds" in adapter.capabilities.guarantee

    async def test_wrong_credentials_are_denied_and_never_an_absence(self, archive):
        for words in ({}, {"username": "ada", "password": "no"}, {"username": "brahe", "password": "no"}):
            adapter = WebdavAdapter(archive.dataset("ada").url, words)
            with pytest.raises(Denied) as caught:
                await adapter.info("file")
            assert caught.value.field == "credentials"
            await adapter.close()

    async def test_a_port_where_nobody_listens_is_unreachable(self):
        adapter = WebdavAdapter("http://127.0.0.1:9/results", {})
        with pytest.raises(ArchiveUnreachable) as caught:
            await adapter.info("file")
        assert "127.0.0.1" not in str(caught.value)
        await adapter.close()

    async def test_an_address_that_is_none_is_bad_input(self):
        with pytest.raises(BadInput):
            WebdavAdapter("results", {})
