"""Datasets on Ceph, through the engine: the rules of reading hold with a real S3 server behind them."""

import itertools
import os

import pytest

from jupyter_alc.core.dataset import Access, MountedDataset
from jupyter_alc.core.errors import ArchiveUnreachable, FileNotThere, VersionChanged
from jupyter_alc.testing.engines import get, running_engine
from jupyter_alc.testing.faults import Fault, FaultyProxy

pytestmark = pytest.mark.ceph
MIB = 1 << 20


@pytest.fixture
def store(ceph):
    """A bucket, how to plant in it, and the dataset that it is at an address."""
    bucket = ceph.bucket()

    class Store:
        address = "127.0.0.1", int(ceph.state["endpoint"].rpartition(":")[2])

        def put(self, key, data):
            ceph.client.put_object(Bucket=bucket, Key=f"runs/{key}", Body=data)

        def dataset(self, endpoint):
            url = ceph.url(bucket, "runs", endpoint)
            return MountedDataset("runs", "Runs", "s3", url, Access.READ, published=True, credentials=ceph.keys)

    return Store()


async def test_r2_a_first_touch_of_a_big_object_moves_little(store, tmp_path):
    data = os.urandom(40 * MIB)
    store.put("big.nxs", data)
    with FaultyProxy(*store.address) as proxy:
        async with running_engine(tmp_path / "v", [store.dataset(f"http://{proxy.address}")]) as engine:
            handle = await engine.open("runs/big.nxs")
            assert await engine.read(handle, 0, 4096) == data[:4096]
            assert proxy.counted.bytes_down < 300 * 1024
            assert await engine.read(handle, 30 * MIB + 5, 30 * MIB + 105) == data[30 * MIB + 5 :][:100]
            await engine.close(handle)
            assert await get(engine, "runs/big.nxs") == data
            moved = proxy.counted.bytes_down
            assert await get(engine, "runs/big.nxs") == data
            assert proxy.counted.bytes_down - moved < 64 * 1024


async def test_n3_and_r4_on_s3(store, tmp_path):
    store.put("a/file", bytes(700_000))
    with FaultyProxy(*store.address) as proxy:
        async with running_engine(tmp_path / "v", [store.dataset(f"http://{proxy.address}")]) as engine:
            with pytest.raises(FileNotThere):
                await engine.open("runs/a/other")
            handle = await engine.open("runs/a/file")
            assert await engine.read(handle, 0, 10) == bytes(10)
            store.put("a/file", bytes(700_001))
            with pytest.raises(VersionChanged):
                await engine.read(handle, 600_000, 600_010)
            await engine.close(handle)
            proxy.faults = itertools.repeat(Fault.REFUSED)
            with pytest.raises(ArchiveUnreachable):
                await engine.open("runs/b/file")
