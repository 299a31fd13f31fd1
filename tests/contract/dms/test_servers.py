"""The shipped contract, faults included, on servers as they come from Debian and PyPI: nginx and WsgiDAV."""

import os
import shutil

import pytest

from jupyter_alc.core.dataset import Access, MountedDataset
from jupyter_alc.dms.adapters.http import HttpAdapter
from jupyter_alc.dms.adapters.interface import AnsweredBadly
from jupyter_alc.dms.adapters.opening import open_adapter
from jupyter_alc.dms.adapters.webdav import WebdavAdapter
from jupyter_alc.testing.adapters import AdapterContract
from jupyter_alc.testing.faulty_adapters import FaultyAdapterContract
from labs.nginx import Nginx
from labs.wsgidav import Wsgidav

pytestmark = pytest.mark.contract


@pytest.fixture(scope="session")
def nginx(tmp_path_factory):
    with Nginx(tmp_path_factory.mktemp("nginx") / "lab") as lab:
        yield lab


@pytest.fixture(scope="session")
def wsgidav(tmp_path_factory):
    with Wsgidav(tmp_path_factory.mktemp("wsgidav") / "lab") as lab:
        yield lab


class OnAServer(AdapterContract, FaultyAdapterContract):
    """`served` is the lab, `adapter_at` makes the adapter for an address in place of the server's own."""

    async def test_n8_names_that_are_no_text_are_never_taken_for_others(self, adapter, put):
        put("odd/good", b"x")
        put(os.fsdecode(b"odd/\xff\xfe"), b"y")
        try:
            names = [one.name for one in await adapter.listing("odd")]
        except AnsweredBadly:  # B1: WsgiDAV fails for the folder, and so do we
            return
        assert "good" in names
        assert not any(one.isprintable() for one in names if one != "good")  # the engine leaves it out

    @pytest.fixture
    def put(self, served):
        yield served.put
        for one in served.files.iterdir():
            shutil.rmtree(one) if one.is_dir() else one.unlink()

    @pytest.fixture
    def archive_at(self, served):
        return served.address

    @pytest.fixture
    async def adapter(self, served, adapter_at):
        host, port = served.address
        adapter = adapter_at(f"{host}:{port}")
        yield adapter
        await adapter.close()


class OnNginx(OnAServer):
    unlisted = "."

    @pytest.fixture
    def served(self, nginx):
        return nginx


@pytest.mark.nginx
class TestHttpOnNginx(OnNginx):
    @pytest.fixture
    def adapter_at(self):
        return lambda at: HttpAdapter(f"http://{at}/files", {})

    async def test_n9_a_listing_of_a_hundred_files_is_one_request(self, adapter, put):
        for number in range(100):
            put(f"run/{number}", b"x" * number)
        told = await adapter.listing("run")
        assert {one.name: one.size for one in told} == {str(number): number for number in range(100)}


@pytest.mark.nginx
class TestFsspecOnNginx(OnNginx):
    """fsspec's http:// by itself would find every folder of nginx empty, and `a#1` to be `a`."""

    @pytest.fixture
    def adapter_at(self):
        return lambda at: open_adapter(MountedDataset("d", "D", "fsspec", f"http://{at}/files", Access.READ))


@pytest.mark.nginx
class TestWebdavOnNginx(OnNginx):
    @pytest.fixture
    def adapter_at(self):
        return lambda at: WebdavAdapter(f"http://{at}/dav", {})


class TestWebdavOnWsgidav(OnAServer):
    @pytest.fixture
    def served(self, wsgidav):
        return wsgidav

    @pytest.fixture
    def adapter_at(self, wsgidav):
        keys = {name: wsgidav.state[name] for name in ("username", "password")}
        return lambda at: WebdavAdapter(f"http://{at}/dav", keys)
