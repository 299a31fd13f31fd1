"""Datasets on Ceph, through the engine: the rules of reading hold with a real S3 server behind them."""

import asyncio
import itertools
import os
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import pytest

from jupyter_alc.core.dataset import Access, MountedDataset
from jupyter_alc.core.errors import ArchiveUnreachable, FileNotThere, VersionChanged
from jupyter_alc.core.views import View
from jupyter_alc.dms.filesystem import DmsFileSystem
from jupyter_alc.dms.transfers.access import EngineTransfers
from jupyter_alc.testing.data_service import DataService
from jupyter_alc.testing.engines import get, running_engine
from jupyter_alc.testing.faults import Fault, FaultyProxy

pytestmark = pytest.mark.ceph
MIB = 1 << 20


@pytest.fixture
def store(ceph):
    """A bucket, how to plant in it, and the dataset that it is at an address."""
    bucket = ceph.bucket()

    class Store:
        endpoint = ceph.state["endpoint"]
        address = "127.0.0.1", int(endpoint.rpartition(":")[2])

        def put(self, key, data):
            ceph.client.put_object(Bucket=bucket, Key=f"runs/{key}", Body=data)

        def dataset(self, endpoint):
            url = ceph.url(bucket, "runs", endpoint)
            return MountedDataset("runs", "Runs", "s3", url, Access.READ, published=True, credentials=ceph.keys)

    return Store()


@pytest.mark.root
@pytest.mark.fuse
def test_n7_n8_odd_keys_are_shown_as_promised_by_the_mount_and_by_dms(store):
    """A key and keys below it, a marker that holds bytes, empty names and `..`, each byte below 128."""
    bytes_of_names = sorted(f"a{chr(number)}b" for number in range(1, 128) if chr(number) != "/")
    for key in ("both", "both/inside", "made/", "made/x", "odd//empty", "odd/../up", "odd/./here", "odd/good"):
        store.put(key, key.encode())
    for name in bytes_of_names:
        store.put(f"bytes/{name}", name.encode())
    with tempfile.TemporaryDirectory(prefix="alc-t-") as place:
        service = DataService(Path(place), [store.dataset(store.endpoint)], mount=Path(place) / "data")
        try:
            assert service.start()["mounted"]
            top, fs = service.mount / "runs", DmsFileSystem(socket=str(service.socket), skip_instance_cache=True)
            expected = {"both": ["inside"], "made": ["x"], "odd": ["good"], "bytes": bytes_of_names}
            for folder, names in {"": sorted(expected), **expected}.items():
                assert sorted(one.name for one in (top / folder).iterdir()) == names
                listed = fs.ls(f"runs/{folder}".rstrip("/"), detail=False)
                assert sorted(one.rpartition("/")[2] for one in listed) == names
            assert (top / "both").is_dir()
            assert (top / "made/x").read_bytes() == fs.cat_file("runs/made/x") == b"made/x"
            for name in bytes_of_names:
                assert (top / "bytes" / name).read_bytes() == name.encode()
        finally:
            service.stop()


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


async def test_t8_the_time_of_small_files_is_planned_by_what_the_last_ones_took(store, tmp_path):
    """Here the line has no end, and this computer is what takes the time: judged where it was as quick as before."""
    folders = [f"night-{number:02}" for number in range(16)]
    for folder, number in itertools.product(folders, range(100)):
        store.put(f"{folder}/f{number:03}", bytes(10_240))
    volume, ratios, before = tmp_path / "v", [], 0.0
    async with running_engine(volume, [store.dataset(store.endpoint)]) as engine:
        transfers = EngineTransfers(engine, volume)
        await transfers.start()
        for folder in folders:
            planned = (await transfers.plan(f"runs/{folder}"))["seconds"]
            began = time.monotonic()
            id = (await transfers.fetch([f"runs/{folder}"]))["id"]
            while (await transfers.transfer(id))["state"] != "done":
                await asyncio.sleep(0.002)
            took = time.monotonic() - began
            if 0.8 < took / max(before, 1e-9) < 1.25:
                ratios.append(planned / took)
            before = took
        await transfers.stop()
    if len(ratios) < 5:
        pytest.skip("this computer is seldom as quick as a moment ago")
    assert 0.7 <= sorted(ratios)[len(ratios) // 2] <= 1.3, ratios


async def test_a_bucket_that_is_not_there_is_told_with_its_cure_whatever_is_asked(store, tmp_path):
    right = store.dataset(store.endpoint)
    wrong = replace(right, url=right.url.replace("s3://", "s3://no-such-", 1))
    async with running_engine(tmp_path / "v", [wrong]) as engine:
        for ask in (engine.ls("runs"), engine.info("runs/a"), engine.open("runs/a/b")):
            with pytest.raises(FileNotThere, match="bucket") as told:
                await ask
            assert told.value.next_step == "Check the dataset's url in the catalogue."


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


async def test_t8_and_t1_a_prefix_of_a_bucket_is_planned_and_brought(store, tmp_path):
    """Bytes and requests as planned, on Ceph: 40 small objects, one of 20 MiB, some of it here already."""
    contents = {f"run/f{number:02}": os.urandom(50_000 + number) for number in range(40)} | {
        "run/big": os.urandom(20 * MIB)
    }
    for key, content in contents.items():
        store.put(key, content)
    async with running_engine(tmp_path / "v", [store.dataset(None)]) as engine:
        transfers = EngineTransfers(engine, tmp_path / "v")
        await transfers.start()
        handle = await engine.open("runs/run/big")
        await engine.read(handle, 7 * MIB, 7 * MIB + 1)
        await engine.close(handle)
        plan = await transfers.plan("runs/run")
        before = engine.status()[0]
        begun = await transfers.fetch(["runs/run"], connections=4)
        async with asyncio.timeout(60):
            while (told := await transfers.transfer(begun["id"]))["state"] != "done":
                assert told["state"] in {"listing", "moving"}, told
                await asyncio.sleep(0.02)
        after = engine.status()[0]
        assert (told["files"], told["files_done"]) == (41, 41)
        assert after.moved_bytes - before.moved_bytes == plan["move_bytes"] == told["moved_bytes"]
        assert after.requests - before.requests == plan["requests"] == 40 + 6
        for key, content in contents.items():
            assert await get(engine, f"runs/{key}") == content
        assert engine.status()[0].moved_bytes == after.moved_bytes
        await transfers.stop()


async def test_n18_a_view_is_made_of_keys(store, tmp_path):
    for key in ("2024A/SANS/SANS7.nxs", "2024A/LOQ/LOQ7.nxs", "2024B/SANS/SANS8.nxs", "2024A/SANS/notes.txt"):
        store.put(key, key.encode())
    runs = "{cycle}/{instrument}/{instrument}{run:digits}.nxs"
    views = (View("by-run", runs, "{cycle}/{run}/"), View("flat", runs, "{run}.nxs"))
    live = replace(store.dataset(f"http://{store.address[0]}:{store.address[1]}"), published=False, views=views)
    async with running_engine(tmp_path / "v", [live]) as engine:

        async def names(path):
            return [one.name for one in await engine.ls(path)]

        assert await names("runs") == ["2024A", "2024B", "by-run", "flat"]
        assert await names("runs/by-run/2024A/7") == ["LOQ7.nxs", "SANS7.nxs"]
        assert await get(engine, "runs/by-run/2024A/7/SANS7.nxs") == b"2024A/SANS/SANS7.nxs"
        assert len(await names("runs/flat")) == 3
        store.put("2024A/SANS/SANS9.nxs", b"new")
        await asyncio.sleep(1.1)  # so long the listing of a live dataset is believed
        assert await names("runs/by-run/2024A") == ["7", "9"]
