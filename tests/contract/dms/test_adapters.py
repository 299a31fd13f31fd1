"""The shipped contract, against every adapter we ship."""

from __future__ import annotations

import asyncio
import os
import shutil
import time
import tracemalloc
from pathlib import Path

import pytest

from jupyter_alc.core.errors import ArchiveUnreachable, BadInput, Denied
from jupyter_alc.dms.adapters.basic import BasicAdapter
from jupyter_alc.dms.adapters.local import LocalAdapter
from jupyter_alc.dms.adapters.webdav import WebdavAdapter
from jupyter_alc.dms.tokens import is_unsettled
from jupyter_alc.testing.adapters import AdapterContract
from jupyter_alc.testing.archive_service import ArchiveService
from jupyter_alc.testing.faulty_adapters import FaultyAdapterContract

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

    async def test_n10_a_large_folder_is_told_a_little_at_a_time_and_takes_no_memory(self, adapter, tmp_path):
        for number in range(5000):
            os.mknod(tmp_path / "archive" / f"f{number:06}")
        told = set()
        tracemalloc.start()
        try:
            async for page in adapter.listing_pages(""):
                assert 0 < len(page) <= 1000
                told |= {int(one.name[1:]) for one in page}
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert told == set(range(5000))
        assert peak < 3 << 19  # entries of all names would be 2.5 MiB

    async def test_n11_what_goes_while_its_folder_is_listed_is_left_out(self, adapter, tmp_path):
        for number in range(1100):
            os.mknod(tmp_path / "archive" / f"f{number:06}")
        told = []
        async for page in adapter.listing_pages(""):
            told += [one.name for one in page]
            for one in (tmp_path / "archive").iterdir():
                one.unlink()
        assert len(told) == 1000

    async def test_who_gives_a_listing_up_leaves_nothing_open(self, adapter, tmp_path):
        for number in range(1100):
            os.mknod(tmp_path / "archive" / f"f{number:06}")
        pages = adapter.listing_pages("")
        await anext(pages)
        await pages.aclose()
        until = time.monotonic() + 5
        while any(one.resolve() == tmp_path / "archive" for one in Path("/proc/self/fd").iterdir()):
            assert time.monotonic() < until
            await asyncio.sleep(0.01)


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
