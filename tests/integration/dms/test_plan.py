"""What a plan says a transfer then does (T8): bytes and requests exactly, time within 30 %; on a real server."""

from __future__ import annotations

import asyncio
import json
import os
import time
from contextlib import asynccontextmanager

import pytest

from jupyter_alc.core.dataset import Access, MountedDataset
from jupyter_alc.dms.engine.engine import Tuning
from jupyter_alc.dms.transfers.access import EngineTransfers
from jupyter_alc.dms.transfers.hand import Hand
from jupyter_alc.testing.archive_service import ArchiveService
from jupyter_alc.testing.engines import get, running_engine
from jupyter_alc.testing.faults import FaultyProxy
from stalls import Witnesses

pytestmark = pytest.mark.integration
KIB, MIB = 1 << 10, 1 << 20
ROUND_TRIP_SECONDS, LINE_BYTES_PER_SECOND = 0.15, 10 * MIB  # slower than this computer, however busy it is
QUICK_BYTES_PER_SECOND = 48 * MIB  # of this line a request by itself gets about half: the proxy rests at each piece
LARGE = {"one": [4 * MIB] * 5, "few": [16 * MIB] * 3, "huge": [256 * MIB], "alone": [4 * MIB] * 5}


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
    for folder, sizes in LARGE.items():
        (service.results() / folder).mkdir()
        for number, size in enumerate(sizes):
            with (service.results() / folder / f"f{number}").open("wb") as file:
                file.truncate(size)
            os.utime(file.name, (1_700_000_000, 1_700_000_000))
    yield service
    service.stop()


@asynccontextmanager
async def behind(archive, volume, round_trip_seconds, bytes_per_second):
    """An engine and its transfers, on an archive so far away."""
    with FaultyProxy(
        "127.0.0.1", archive.port, round_trip_seconds=round_trip_seconds, bytes_per_second=bytes_per_second
    ) as proxy:
        told = archive.dataset(access=Access.READ, published=True)
        url = f"http://{proxy.address}/results/ada"
        dataset = MountedDataset("results", "Results", "webdav", url, Access.READ, "", None, True, told.credentials)
        tuning = Tuning(settle_seconds=0.05, keep_free_bytes=0)
        async with running_engine(volume, [dataset], tuning=tuning) as engine:
            transfers = EngineTransfers(engine, volume)
            await transfers.start()
            yield engine, transfers
            await transfers.stop()


@pytest.fixture
async def planning(archive, tmp_path):
    """Transfers on an archive 150 ms away."""
    async with behind(archive, tmp_path / "volume", ROUND_TRIP_SECONDS, LINE_BYTES_PER_SECOND) as both:
        yield both


async def done(transfers, path):
    """Fetch `path`: the transfer and the seconds it took, less those in which this computer stood still."""
    with Witnesses() as witnesses:
        begun = time.monotonic()
        id = (await transfers.fetch([path]))["id"]
        async with asyncio.timeout(60):
            while (told := await transfers.transfer(id))["state"] != "done":
                assert told["state"] in {"listing", "moving"}, told
                await asyncio.sleep(0.005)
        ended = time.monotonic()
        return told, ended - begun - witnesses.stood_still(begun, ended)


async def taken(transfers, path):
    """Fetch `path`: the seconds from its beginning to its end, as its line counts them, which never stands still."""
    told, _ = await done(transfers, path)
    return told["ended"] - told["begun"]


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


@pytest.mark.parametrize(
    ("folder", "bytes_per_second"),
    [
        ("one", QUICK_BYTES_PER_SECOND),
        ("few", QUICK_BYTES_PER_SECOND / 2),
        pytest.param("huge", QUICK_BYTES_PER_SECOND / 2, marks=pytest.mark.long),
    ],
)
@pytest.mark.parametrize("round_trip_seconds", [0.0, 0.02])
async def test_t8_few_large_files_take_as_long_as_was_planned(
    folder, bytes_per_second, round_trip_seconds, archive, tmp_path
):
    """The line is known from requests that shared it and from some one at a time; last came those of the other kind."""
    async with behind(archive, tmp_path / "volume", round_trip_seconds, bytes_per_second) as (engine, transfers):
        shared, alone = ["known"], [f"alone/f{number}" for number in range(5)]
        known = [*alone, *shared] if folder == "one" else [*shared, *alone]
        for path in [*known, *(f"small/f00{number}" for number in range(5))]:
            await transfers.plan(f"results/{path}")
            await done(transfers, f"results/{path}")
        wanted = [f"results/one/f{number}" for number in range(5)] if folder == "one" else [f"results/{folder}"]
        planned = sum([(await transfers.plan(path))["seconds"] for path in wanted])
        took = sum([await taken(transfers, path) for path in wanted])
        line = {"folder": folder, "seconds": planned, "took": took, "error": round(planned / took - 1, 3)}
        print(json.dumps(line))
        assert 0.7 <= planned / took <= 1.3, (line, engine.supply.line("results"))


async def test_t8_what_a_transfer_does_besides_is_in_the_time_too(planning, monkeypatch):
    """On a disk that needs 30 ms for whatever is written down."""
    do = Hand.do

    async def slowly(self, work, *given, **named):
        await asyncio.sleep(0.03)
        return await do(self, work, *given, **named)

    _, transfers = planning
    monkeypatch.setattr(Hand, "do", slowly)
    await transfers.plan("results/known/f000")
    await done(transfers, "results/known/f000")
    planned = (await transfers.plan("results/known/f001"))["seconds"]
    took = await taken(transfers, "results/known/f001")
    assert planned >= ROUND_TRIP_SECONDS + 0.3
    assert 0.7 <= planned / took <= 1.3
