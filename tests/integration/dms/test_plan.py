"""What a plan says a transfer then does (T8): bytes and requests exactly, time within 30 %; on a real server."""

from __future__ import annotations

import asyncio
import json
import os
import time

import pytest

from jupyter_alc.core.dataset import Access, MountedDataset
from jupyter_alc.dms.engine.engine import Tuning
from jupyter_alc.dms.transfers.access import EngineTransfers
from jupyter_alc.testing.archive_service import ArchiveService
from jupyter_alc.testing.engines import get, running_engine
from jupyter_alc.testing.faults import FaultyProxy

pytestmark = pytest.mark.integration
KIB, MIB = 1 << 10, 1 << 20
ROUND_TRIP_SECONDS, LINE_BYTES_PER_SECOND = 0.15, 10 * MIB  # slower than this computer, however busy it is


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """Runs of many small files, of few large ones, and others to get to know the line by."""
    place = tmp_path_factory.mktemp("archive")
    service = ArchiveService(place)
    service.start()
    for folder, files, size in (("known", 12, 40 * KIB), ("small", 120, 10 * KIB), ("large", 3, 11 * MIB + 7)):
        for number in range(files):
            path = service.results() / folder / f"f{number:03}"
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(os.urandom(size))
            os.utime(path, (1_700_000_000, 1_700_000_000))
    (service.results() / "known" / "big").write_bytes(os.urandom(16 * MIB))
    yield service
    service.stop()


@pytest.fixture
async def planning(archive, tmp_path):
    """Transfers on an archive 150 ms away whose line is known."""
    with FaultyProxy(
        "127.0.0.1", archive.port, round_trip_seconds=ROUND_TRIP_SECONDS, bytes_per_second=LINE_BYTES_PER_SECOND
    ) as proxy:
        told = archive.dataset(access=Access.READ, published=True)
        url = f"http://{proxy.address}/results/ada"
        dataset = MountedDataset("results", "Results", "webdav", url, Access.READ, "", None, True, told.credentials)
        tuning = Tuning(settle_seconds=0.05, keep_free_bytes=0)
        async with running_engine(tmp_path / "volume", [dataset], tuning=tuning) as engine:
            transfers = EngineTransfers(engine, tmp_path / "volume")
            await transfers.start()
            yield engine, transfers
            await transfers.stop()


async def done(transfers, path):
    """Fetch `path`: the transfer and the seconds it took."""
    begun = time.monotonic()
    id = (await transfers.fetch([path]))["id"]
    async with asyncio.timeout(60):
        while (told := await transfers.transfer(id))["state"] != "done":
            assert told["state"] in {"listing", "moving"}, told
            await asyncio.sleep(0.005)
    return told, time.monotonic() - begun


async def test_t8_nothing_is_known_of_a_line_before_it_was_used(planning):
    _, transfers = planning
    plan = await transfers.plan("results/known/f000")
    assert plan == {
        "path": "results/known/f000",
        "files": 1,
        "size_bytes": 40 * KIB,
        "cached_bytes": 0,
        "move_bytes": 40 * KIB,
        "requests": 1,
        "seconds": None,
    }


@pytest.mark.parametrize("folder", ["small", "large"])
async def test_t8_bytes_requests_and_time_are_what_was_planned(folder, planning, archive):
    engine, transfers = planning
    await done(transfers, "results/known")
    handle = await engine.open("results/large/f001")  # some is here already
    await engine.read(handle, 5 * MIB, 6 * MIB)
    await engine.read(handle, 8 * MIB, 8 * MIB + 10)
    await engine.close(handle)
    await asyncio.sleep(0.2)
    plan = await transfers.plan(f"results/{folder}")
    before = engine.status()[0]
    told, took = await done(transfers, f"results/{folder}")
    after = engine.status()[0]
    line = {"folder": folder, **plan, "took": round(took, 3), "error": round(plan["seconds"] / took - 1, 3)}
    print(json.dumps(line))
    assert after.requests - before.requests == plan["requests"]
    assert after.moved_bytes - before.moved_bytes == told["moved_bytes"] == plan["move_bytes"]
    assert plan["size_bytes"] == told["size_bytes"]
    assert plan["cached_bytes"] == plan["size_bytes"] - plan["move_bytes"]
    assert 0.7 <= plan["seconds"] / took <= 1.3, line
    again = await transfers.plan(f"results/{folder}")
    assert (again["requests"], again["move_bytes"], again["seconds"]) == (0, 0, 0.0)
    for path in (archive.results() / folder).iterdir():
        assert await get(engine, f"results/{folder}/{path.name}") == path.read_bytes()
    assert engine.status()[0].moved_bytes == after.moved_bytes
