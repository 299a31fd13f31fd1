"""zarr's own suite of stores and its two state machines: on `dms://`, and on a mounted folder.

The suite writes through the store what it then reads, so it is run whole, not only where it reads. Skipped are zarr's
five tests of synchronous stores (`SupportsGetSync`, `SupportsSetSync`, `SupportsDeleteSync`), which `FsspecStore` is
not, and one on the mount, below.
"""

import asyncio
import secrets
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test
from zarr.abc.store import Store
from zarr.core.buffer import cpu
from zarr.core.sync import sync as zarr_sync
from zarr.storage import FsspecStore, LocalStore
from zarr.testing.stateful import ZarrHierarchyStateMachine, ZarrStoreStateMachine
from zarr.testing.store import StoreTests

from jupyter_alc.core.dataset import Access, MountedDataset
from jupyter_alc.dms.filesystem import DmsFileSystem
from jupyter_alc.testing.data_service import DataService

pytestmark = [
    pytest.mark.contract,
    pytest.mark.filterwarnings(
        "ignore::zarr.errors.ZarrUserWarning"
    ),  # its machines try types it has no final form for
    pytest.mark.filterwarnings("ignore::zarr.errors.UnstableSpecificationWarning"),
]

on_a_mount = [pytest.mark.root, pytest.mark.fuse]
FEW = settings(
    max_examples=3, stateful_step_count=15, phases=[Phase.generate], deadline=None, derandomize=True, database=None,
    suppress_health_check=list(HealthCheck),
)  # fmt: skip


def serving(place, mount=None):
    (place / "archive").mkdir()
    results = MountedDataset("results", "Results", "local", str(place / "archive"), Access.WRITE)
    return DataService(place, [results], mount=mount)


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    running = serving(tmp_path_factory.mktemp("z"))
    try:
        assert running.start()["ready"]
        yield running
    finally:
        running.stop()


@pytest.fixture(scope="module")
def mounted():
    with tempfile.TemporaryDirectory(prefix="alc-z-") as folder:
        running = serving(Path(folder), Path(folder) / "data")
        try:
            assert running.start()["mounted"]
            yield Path(folder) / "data" / "results"
        finally:
            running.stop()


class TestOnDms(StoreTests[FsspecStore, cpu.Buffer]):
    store_cls = FsspecStore
    buffer_cls = cpu.Buffer

    @pytest.fixture
    async def store_kwargs(self, service):
        fs = DmsFileSystem(socket=str(service.socket), asynchronous=True)
        path = f"results/{secrets.token_hex(4)}"
        await fs._makedirs(path)
        yield {"fs": fs, "path": path}
        await fs._access().close()

    @pytest.fixture
    def plain(self, service):
        return DmsFileSystem(socket=str(service.socket))

    @pytest.fixture(autouse=True)
    def _beside_the_store(self, plain):
        self.plain = plain

    async def set(self, store, key, value):
        await asyncio.to_thread(self.plain.pipe_file, f"{store.path}/{key}", value.to_bytes())

    async def get(self, store, key):
        return self.buffer_cls.from_bytes(await asyncio.to_thread(self.plain.cat_file, f"{store.path}/{key}"))

    def test_store_repr(self, store):
        assert str(store) == f"<FsspecStore(DmsFileSystem, {store.path})>"

    def test_store_supports_writes(self, store):
        assert store.supports_writes

    def test_store_supports_listing(self, store):
        assert store.supports_listing


class TestOnAMount(StoreTests[LocalStore, cpu.Buffer]):
    pytestmark = on_a_mount
    store_cls = LocalStore
    buffer_cls = cpu.Buffer

    @pytest.fixture
    def store_kwargs(self, mounted):
        place = mounted / secrets.token_hex(4)
        place.mkdir()
        return {"root": str(place)}

    async def set(self, store, key, value):
        place = store.root / key
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(value.to_bytes())

    async def get(self, store, key):
        return self.buffer_cls.from_bytes((store.root / key).read_bytes())

    @pytest.mark.skip(reason="LocalStore does it by a hard link, and links are EPERM in the mount (N5)")
    async def test_set_if_not_exists(self, store):
        """What zarr uses to make a key that must be new."""

    def test_store_repr(self, store):
        assert str(store) == f"file://{store.root.as_posix()}"

    def test_store_supports_writes(self, store):
        assert store.supports_writes

    def test_store_supports_listing(self, store):
        assert store.supports_listing


class Cleared(FsspecStore):
    """zarr's own `clear` of this store ends at the first name that went with its folder: the general one does not."""

    clear = Store.clear


@pytest.fixture(params=["dms://", pytest.param("a mount", marks=on_a_mount)])
def store(request):
    name = f"machine-{secrets.token_hex(4)}"
    if request.param == "a mount":
        place = request.getfixturevalue("mounted") / name
        place.mkdir()
        yield LocalStore(place)
        return
    fs = DmsFileSystem(socket=str(request.getfixturevalue("service").socket), asynchronous=True)
    yield Cleared(fs, path=f"results/{name}")

    async def close():
        await fs._access().close()

    zarr_sync(close())


@pytest.mark.parametrize("machine", [ZarrStoreStateMachine, ZarrHierarchyStateMachine])
def test_whatever_is_done_to_a_store_it_is_as_its_model(store, machine):
    """Random sequences of writing, reading, deleting and listing."""
    run_state_machine_as_test(lambda: machine(store), settings=FEW)
