"""Transfers of the data service as a process: kills, the socket, the mount, events; T3, T11 and T14."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import shutil
import tempfile
import time
from pathlib import Path

import pytest

from jupyter_alc.core.dataset import Access, MountedDataset
from jupyter_alc.core.errors import BadInput, IllegalMove, NotFound
from jupyter_alc.testing.archive_service import ArchiveService
from jupyter_alc.testing.data_service import DataService
from stalls import Stalls

pytestmark = pytest.mark.integration
KIB, MIB = 1 << 10, 1 << 20


@pytest.fixture
def place():
    folder = Path(tempfile.mkdtemp(prefix="alc-x-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def old(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    os.utime(path, (1_700_000_000, 1_700_000_000))
    return content


def until(seen, seconds=30):
    """The kernel is told of a change a moment after it."""
    deadline = time.monotonic() + seconds
    while not seen():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def ended(service, id, seconds=60):
    deadline = time.monotonic() + seconds
    while (told := service.ask(lambda client: client.transfer(id)))["state"] not in {"done", "failed", "cancelled"}:
        assert time.monotonic() < deadline, told
        time.sleep(0.05)
    return told


def test_t3_kills_cost_a_few_requests_and_no_byte(place):
    """kill -9 at ten random moments of one transfer; it goes on by itself, and what came is not fetched again."""
    (place / "archive").mkdir()
    archive = ArchiveService(place / "archive")
    archive.start()
    service = DataService(place / "dms", [archive.dataset(access=Access.READ, published=True)])
    dice = random.Random(7)
    try:
        contents = {f"run/{n // 20}/f{n:03}": os.urandom(100 * KIB) for n in range(120)} | {
            "run/big": os.urandom(20 * MIB)
        }
        for path, content in contents.items():
            old(archive.results() / path, content)
        size, kills = sum(map(len, contents.values())), 10
        service.start()
        begun = service.ask(lambda client: client.fetch(["results/run"], bytes_per_second=12 * MIB))
        for _ in range(kills):
            time.sleep(dice.uniform(0.05, 0.5))
            service.kill()
            service.start()
        told = ended(service, begun["id"])
        assert (told["state"], told["files_done"], told["size_bytes"]) == ("done", 121, size), told
        sent = sum(one["bytes_sent"] for one in archive.requests() if one["method"] == "GET")
        assert sent <= size + kills * (4 * 4 * MIB)  # the requests that were under way come again
        moved_before = service.ask(lambda client: client.status())["datasets"][0]["moved_bytes"]
        for path, content in contents.items():
            assert service.ask(lambda client, path=path: client.read(f"results/{path}")) == content
        assert service.ask(lambda client: client.status())["datasets"][0]["moved_bytes"] == moved_before
        print({"size": size, "kills": kills, "sent": sent})
    finally:
        service.stop()
        archive.stop()


@pytest.fixture
def service(place):
    for number in range(3):
        old(place / "raw/run" / f"f{number}", os.urandom(50 * KIB))
    (place / "results").mkdir()
    datasets = [
        MountedDataset("raw", "Raw", "local", str(place / "raw"), Access.READ, published=True),
        MountedDataset("results", "Results", "local", str(place / "results"), Access.WRITE),
    ]
    running = DataService(place / "dms", datasets)
    running.place.mkdir(mode=0o711)
    running.start()
    yield running
    running.stop()


def test_the_socket_offers_what_the_engine_does(service):
    plan = service.ask(lambda client: client.plan("raw/run"))
    assert (plan["files"], plan["move_bytes"], plan["requests"]) == (3, 150 * KIB, 3)
    begun = service.ask(lambda client: client.fetch(["raw/run"], connections=2, bytes_per_second=10**9))
    assert (begun["connections"], begun["cap_bytes_per_second"]) == (2, 10**9)
    assert ended(service, begun["id"])["state"] == "done"
    assert [one["id"] for one in service.ask(lambda client: client.transfers())] == [begun["id"]]
    assert [one["state"] for one in service.ask(lambda client: client.files("raw/run"))["entries"]] == ["cached"] * 3
    assert service.ask(lambda client: client.history("raw", 1))[0]["what"] == "fetched"
    assert service.ask(lambda client: client.cancel(begun["id"]))["state"] == "done"
    for question, error in [
        (lambda client: client.resume(begun["id"]), IllegalMove),
        (lambda client: client.transfer("a/../b?"), NotFound),
        (lambda client: client.fetch([]), BadInput),
        (lambda client: client.fetch(["raw"], connections=0), BadInput),
        (lambda client: client.history("raw", 0), BadInput),
        (lambda client: client.unmount("nothing/here"), NotFound),
    ]:
        with pytest.raises(error) as raised:
            service.ask(question)
        assert raised.value.next_step


async def heard_by(client, events):
    """The next event, asked for; transfers begin until the first is heard of, so the service is known to tell."""
    following = asyncio.ensure_future(anext(events))
    async with asyncio.timeout(60):
        while not following.done():
            await client.fetch(["raw/run"])
            await asyncio.wait({following}, timeout=0.1)
    return asyncio.ensure_future(anext(events))


def test_t14_events_come_over_the_socket(service):
    async def listen(client):
        heard, events = set(), client.events()
        following = await heard_by(client, events)
        begun = await client.fetch(["raw/run"])
        async with asyncio.timeout(60):
            while ("transfer", begun["id"]) not in heard:
                event = await following
                heard.add((event["what"], event["path"]))
                following = asyncio.ensure_future(anext(events))
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        await events.aclose()
        return heard

    service.ask(listen)


def test_t14_who_listens_does_not_hold_up_the_end(service):
    """The stream of events ends with the service, which does not wait for its listeners."""

    async def listen(client):
        events = client.events()
        following = await heard_by(client, events)
        with Stalls(service.process.pid) as stalls:
            begun = stalls.mark()
            assert await asyncio.to_thread(service.stop) == 0
            took = stalls.since(begun)
        with contextlib.suppress(StopAsyncIteration):
            while await following:  # of what was heard before
                following = asyncio.ensure_future(anext(events))
        assert isinstance(following.exception(), StopAsyncIteration)
        return took

    assert service.ask(listen) < 2


@pytest.mark.root
@pytest.mark.fuse
def test_t11_a_dataset_leaves_the_mount_and_comes_back(place):
    content = old(place / "raw/a", os.urandom(MIB))
    (place / "results").mkdir()
    service = DataService(
        place / "dms",
        [
            MountedDataset("raw", "Raw", "local", str(place / "raw"), Access.READ, published=True),
            MountedDataset("results", "Results", "local", str(place / "results"), Access.WRITE),
        ],
        mount=place / "data",
    )
    try:
        service.start()
        assert sorted(path.name for path in (place / "data").iterdir()) == ["raw", "results"]
        with (place / "data/raw/a").open("rb") as reading, (place / "data/results/new").open("wb") as writing:
            assert reading.read(10) == content[:10]
            for dataset in ("raw", "results"):
                assert service.ask(lambda client, dataset=dataset: client.unmount(dataset))["mounted"] is False
            until(lambda: list((place / "data").iterdir()) == [])
            assert not (place / "data/raw").exists()
            assert not (place / "data/raw/a").exists()
            assert reading.read() == content[10:]
            writing.write(b"not lost")
        service.wait_until(lambda told: not told["unsent"])
        assert (place / "results/new").read_bytes() == b"not lost"
        for dataset in ("raw", "results"):
            service.ask(lambda client, dataset=dataset: client.mount(dataset))
        until((place / "data/raw/a").exists)
        until((place / "data/results/new").exists)
        assert (place / "data/raw/a").read_bytes() == content
        assert (place / "data/results/new").read_bytes() == b"not lost"
        assert sorted(path.name for path in (place / "data").iterdir()) == ["raw", "results"]
    finally:
        service.stop()
