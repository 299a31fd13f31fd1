"""Files and folders brought into the cache on demand; T1 to T14 of docs/semantics/dms.md."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os

import pytest

from jupyter_alc.core.dataset import Access, MountedDataset, Pattern, Transfer
from jupyter_alc.core.errors import (
    ArchiveUnreachable,
    BadInput,
    Denied,
    FileNotThere,
    IllegalMove,
    NotFound,
    VersionChanged,
)
from jupyter_alc.dms.adapters.interface import Capabilities
from jupyter_alc.dms.adapters.local import LocalAdapter
from jupyter_alc.dms.engine.blocks import beside
from jupyter_alc.dms.engine.engine import Tuning
from jupyter_alc.dms.transfers.access import EngineTransfers
from jupyter_alc.testing.archive_service import ArchiveService
from jupyter_alc.testing.engines import get, put, running_engine
from jupyter_alc.testing.faults import Fault, FaultyProxy
from stalls import Stalls

pytestmark = pytest.mark.integration
KIB, MIB = 1 << 10, 1 << 20
OLD = (1_700_000_000, 1_700_000_000)


class Watched(LocalAdapter):
    """A folder; what is read of it is written down, how many at once too, a read takes `seconds` and an open gate."""

    seconds = 0.0

    def __init__(self, url, credentials):
        super().__init__(url, credentials)
        self.reads, self.now, self.most, self.before = [], 0, 0, None
        self.gate = asyncio.Event()
        self.gate.set()

    async def read_range(self, path, start, stop, if_token):
        self.reads.append((path, start, stop))
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await asyncio.sleep(self.seconds)
            await self.gate.wait()
            if self.before is not None:
                self.before(path)
            return await super().read_range(path, start, stop, if_token)
        finally:
            self.now -= 1

    @property
    def moved(self):
        return sum(stop - start for _, start, stop in self.reads)


@pytest.fixture
def top(tmp_path):
    (tmp_path / "top").mkdir()
    return tmp_path / "top"


def old(path, content):
    """A file that was not changed just now, so that its version is settled."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    os.utime(path, OLD)
    return content


@contextlib.asynccontextmanager
async def served(tmp_path, top, *, transfer=None, tuning=None, access=Access.READ):
    """An engine and its transfers on the folder `top`, and the adapter between."""
    made = []

    def adapter(dataset):
        made.append(Watched(dataset.url, {}))
        return made[-1]

    dataset = MountedDataset("raw", "Raw", "local", str(top), access, published=True, transfer=transfer or Transfer())
    tuning = tuning or Tuning(settle_seconds=0.05, keep_free_bytes=0)
    async with running_engine(tmp_path / "volume", [dataset], adapters=adapter, tuning=tuning) as engine:
        transfers = EngineTransfers(engine, tmp_path / "volume")
        await transfers.start()
        try:
            yield engine, transfers, made[0]
        finally:
            await transfers.stop()


async def until(transfers, id, *states, seconds=30):
    """The transfer when it is in one of these states; ended, where none is named."""
    states = states or ("done", "failed", "cancelled")
    async with asyncio.timeout(seconds):
        while (told := await transfers.transfer(id))["state"] not in states:
            await asyncio.sleep(0.01)
    return told


async def what_happened(transfers, number, *, but="changed"):
    """The newest of the history, when so many are in it."""
    async with asyncio.timeout(30):
        while len(told := [one["what"] for one in await transfers.history() if one["what"] != but]) < number:
            await asyncio.sleep(0.01)
    return told


async def test_t1_a_folder_is_brought_whole_and_reading_it_moves_nothing(tmp_path, top):
    contents = {f"run/{d}/f{n}": os.urandom(30 * KIB + n) for d in range(3) for n in range(40)}
    contents |= {"run/big": os.urandom(9 * MIB + 5), "run/empty": b""}
    for path, content in contents.items():
        old(top / path, content)
    old(top / "beside", b"not asked for")
    async with served(tmp_path, top) as (engine, transfers, adapter):
        begun = await transfers.fetch(["raw/run", "/raw/run/big/"])
        assert (begun["state"], begun["paths"], begun["pattern"]) == ("listing", ["raw/run"], "")
        told = await until(transfers, begun["id"])
        size = sum(map(len, contents.values()))
        assert (told["state"], told["files"], told["files_done"], told["failed"]) == ("done", 122, 122, [])
        assert told["size_bytes"] == told["done_bytes"] == told["moved_bytes"] == adapter.moved == size
        assert told["ended"] >= told["begun"] > 1.7e9
        for path, content in contents.items():
            assert await get(engine, f"raw/{path}") == content
        assert adapter.moved == size
        assert (await transfers.transfers())[0] == await transfers.transfer(begun["id"])


async def test_t1_so_many_files_and_requests_at_once(tmp_path, top):
    for number in range(60):
        old(top / f"f{number}", os.urandom(KIB))
    old(top / "big", os.urandom(40 * MIB))
    limits = Transfer(parallel=12, files=20, connections=5)
    async with served(tmp_path, top, transfer=limits) as (_, transfers, adapter):
        adapter.seconds = 0.02
        told = await until(transfers, (await transfers.fetch(["raw"]))["id"])
        assert (told["state"], told["connections"], adapter.most) == ("done", 5, 5)
    async with served(tmp_path / "other", top) as (_, transfers, adapter):
        adapter.seconds = 0.02
        told = await until(transfers, (await transfers.fetch(["raw"], connections=2))["id"])
        assert (told["state"], told["connections"], adapter.most) == ("done", 2, 2)


async def test_t1_a_reader_does_not_wait_behind_a_transfer(tmp_path, top):
    for number in range(100):
        old(top / "many" / f"f{number}", os.urandom(KIB))
    wanted = old(top / "wanted", os.urandom(64 * KIB))
    async with served(tmp_path, top, transfer=Transfer(files=100, connections=64)) as (engine, transfers, adapter):
        adapter.seconds = 0.2
        begun = await transfers.fetch(["raw/many"])
        while not adapter.reads:
            await asyncio.sleep(0.01)
        asked = len(adapter.reads)
        assert await get(engine, "raw/wanted") == wanted
        assert [path for path, _, _ in adapter.reads].index("wanted") <= asked + 8
        assert (await transfers.cancel(begun["id"]))["state"] == "cancelled"
        assert len(adapter.reads) < 50


async def test_t2_what_cannot_be_brought_is_named_and_tried_again(tmp_path, top):
    for name in ("a", "b", "c"):
        old(top / "run" / name, os.urandom(KIB))
    async with served(tmp_path, top) as (_, transfers, adapter):

        def removed(path):
            (top / "run/b").unlink(missing_ok=True)

        adapter.before = removed
        adapter.seconds = 0.05
        begun = await transfers.fetch(["raw/run"])
        told = await until(transfers, begun["id"])
        assert (told["state"], told["files_done"], told["failed_files"]) == ("failed", 2, 1)
        assert told["problem"]["message"].startswith("1 of 3 files could not be brought")
        assert [one["path"] for one in told["failed"]] == ["raw/run/b"]
        assert told["failed"][0]["problem"]["code"] == "no_such_file"
        adapter.before = None
        old(top / "run/b", os.urandom(2 * KIB))
        moved = adapter.moved
        assert (await transfers.resume(begun["id"]))["state"] == "listing"
        told = await until(transfers, begun["id"])
        assert (told["state"], told["files_done"], told["failed"], told["problem"]) == ("done", 3, [], None)
        assert adapter.moved - moved == 2 * KIB
        with pytest.raises(IllegalMove):
            await transfers.resume(begun["id"])
        assert (await transfers.cancel(begun["id"]))["state"] == "done"
        assert await what_happened(transfers, 2) == ["fetched", "failed"]


async def test_t3_a_transfer_goes_on_after_a_new_start(tmp_path, top):
    for number in range(40):
        old(top / f"f{number:02}", os.urandom(100 * KIB))
    async with served(tmp_path, top) as (_, transfers, adapter):
        adapter.seconds = 0.05
        begun = await transfers.fetch(["raw"], connections=2)
        while (told := await transfers.transfer(begun["id"]))["files_done"] < 10:
            await asyncio.sleep(0.01)
        first = adapter.moved
    async with served(tmp_path, top) as (_, transfers, adapter):
        told = await until(transfers, begun["id"])
        assert (told["state"], told["files"], told["files_done"]) == ("done", 40, 40)
        assert first < 40 * 100 * KIB
        assert first + adapter.moved <= 40 * 100 * KIB + 4 * 100 * KIB  # what was under way comes again
        assert told["size_bytes"] == told["done_bytes"] == 40 * 100 * KIB


async def test_t4_a_file_that_changed_meanwhile_is_brought_in_its_new_version(tmp_path, top):
    old(top / "a", os.urandom(9 * MIB))
    new = os.urandom(5 * MIB)
    changes = iter([1])
    async with served(tmp_path, top) as (engine, transfers, adapter):

        def change(path):
            if next(changes, None):
                (top / "a").write_bytes(new)
                os.utime(top / "a", (1_700_000_099, 1_700_000_099))

        adapter.before = change
        told = await until(transfers, (await transfers.fetch(["raw/a"]))["id"])
        assert (told["state"], told["size_bytes"], told["done_bytes"]) == ("done", 5 * MIB, 5 * MIB)
        adapter.before, moved = None, adapter.moved
        assert await get(engine, "raw/a") == new
        assert adapter.moved == moved


async def test_t4_blocks_that_were_spoilt_on_the_disk_are_brought_again(tmp_path, top):
    content = old(top / "a", os.urandom(2 * MIB))
    async with served(tmp_path, top) as (engine, _, _):
        assert await get(engine, "raw/a") == content
    (data,) = (tmp_path / "volume").rglob("*.data")
    with data.open("r+b") as file:
        for at in (0, MIB):
            file.seek(beside(2 * MIB) + at)
            file.write(b"spoilt")
    async with served(tmp_path, top) as (engine, transfers, adapter):
        told = await until(transfers, (await transfers.fetch(["raw"]))["id"])
        assert (told["state"], told["moved_bytes"], adapter.moved) == ("done", 128 * KIB, 128 * KIB)
        assert await get(engine, "raw/a") == content


async def test_t4_a_version_that_is_not_settled_is_waited_for(tmp_path, top):
    (top / "a").write_bytes(b"written just now")
    async with served(tmp_path, top) as (engine, transfers, adapter):
        told = await until(transfers, (await transfers.fetch(["raw"]))["id"])
        assert told["state"] == "done"
        moved = adapter.moved
        assert await get(engine, "raw/a") == b"written just now"
        assert adapter.moved == moved


async def test_t5_what_cannot_fit_is_refused_before_a_byte_moves(tmp_path, top):
    for number in range(5):
        old(top / f"f{number}", os.urandom(MIB))
    tuning = Tuning(quota_bytes=4 * MIB, settle_seconds=0.05, keep_free_bytes=0)
    async with served(tmp_path, top, tuning=tuning) as (_, transfers, adapter):
        told = await until(transfers, (await transfers.fetch(["raw"]))["id"])
        assert (told["state"], told["problem"]["code"], told["moved_bytes"]) == ("failed", "no_space", 0)
        assert told["problem"]["message"] == "5.2 MB do not fit: the cache can hold 4.2 MB."
        assert told["problem"]["next_step"]
        assert adapter.moved == 0
        adapter.gate.clear()
        one = await transfers.fetch(["raw/f0", "raw/f1", "raw/f2"], bytes_per_second=1 * MIB)
        await until(transfers, one["id"], "moving")
        two = await until(transfers, (await transfers.fetch(["raw/f3"]))["id"])
        assert "of which other transfers take 3.2 MB" in two["problem"]["message"]
        adapter.gate.set()
        assert (await until(transfers, one["id"]))["state"] == "done"
        assert (await transfers.resume(two["id"]))["state"] == "listing"
        assert (await until(transfers, two["id"]))["state"] == "done"


async def test_t5_a_transfer_evicts_what_others_left_and_never_its_own(tmp_path, top):
    for number in range(12):
        old(top / "left" / f"f{number}", os.urandom(500 * KIB))
        old(top / "mine" / f"f{number}", os.urandom(500 * KIB))
    tuning = Tuning(quota_bytes=8 * MIB, settle_seconds=0.05, keep_free_bytes=0)
    async with served(tmp_path, top, tuning=tuning) as (engine, transfers, adapter):
        for number in range(12):
            await get(engine, f"raw/left/f{number}")
        adapter.reads.clear()
        begun = await transfers.fetch(["raw/mine"], bytes_per_second=6 * MIB)
        hot = 0
        while (await transfers.transfer(begun["id"]))["state"] in {"listing", "moving"}:
            await get(engine, f"raw/left/f{hot % 12}")  # somebody else wants the room too
            hot += 1
            await asyncio.sleep(0.02)
        told = await transfers.transfer(begun["id"])
        mine = [path for path, _, _ in adapter.reads if path.startswith("mine")]
        assert len(mine) == len(set(mine)) <= 12  # nothing was brought twice
        assert told["state"] in {"done", "failed"}
        if told["state"] == "failed":
            assert told["problem"]["code"] == "no_space"


async def test_t6_a_ceiling_holds_and_readers_do_not_wait_for_it(tmp_path, top):
    for number in range(24):
        old(top / "run" / f"f{number}", os.urandom(256 * KIB))
    wanted = old(top / "wanted", os.urandom(3 * MIB))
    async with served(tmp_path, top) as (engine, transfers, _):
        with Stalls() as stalls:
            start = stalls.mark()
            begun = await transfers.fetch(["raw/run"], bytes_per_second=4 * MIB)
            await until(transfers, begun["id"], "moving")
            asked = stalls.mark()
            assert await get(engine, "raw/wanted") == wanted
            assert stalls.since(asked) < 0.5
            told = await until(transfers, begun["id"])
            end = stalls.mark()
            assert told["cap_bytes_per_second"] == 4 * MIB
            assert end[0] - start[0] >= 1.2  # 6 MiB at 4 MiB a second
            assert stalls.between(start, end) < 4


async def test_t6_the_ceiling_of_a_dataset_holds_for_all_its_transfers_and_counts_readers(tmp_path, top):
    for folder, number in itertools.product("ab", range(16)):
        old(top / folder / f"f{number}", os.urandom(256 * KIB))
    old(top / "wanted", os.urandom(4 * MIB))
    async with served(tmp_path, top, transfer=Transfer(bytes_per_second=4 * MIB)) as (engine, transfers, _):
        with Stalls() as stalls:
            start = stalls.mark()
            begun = [await transfers.fetch([f"raw/{folder}"]) for folder in "ab"]
            while not (await transfers.transfer(begun[0]["id"]))["moved_bytes"]:
                await asyncio.sleep(0.01)
            await get(engine, "raw/wanted")
            for one in begun:
                assert (await until(transfers, one["id"]))["state"] == "done"
            end = stalls.mark()
            assert end[0] - start[0] >= 2.4  # 8 MiB of two transfers and 4 MiB of a reader
            assert stalls.between(start, end) < 9


async def test_t7_cancelling_asks_for_nothing_more_and_keeps_what_came(tmp_path, top):
    for number in range(50):
        old(top / f"f{number:02}", os.urandom(64 * KIB))
    async with served(tmp_path, top) as (_, transfers, adapter):
        adapter.seconds = 0.05
        begun = await transfers.fetch(["raw"], connections=4)
        while (await transfers.transfer(begun["id"]))["files_done"] < 8:
            await asyncio.sleep(0.01)
        told = await transfers.cancel(begun["id"])
        assert (told["state"], told["bytes_per_second"], told["seconds_left"]) == ("cancelled", 0, None)
        asked = len(adapter.reads)
        await asyncio.sleep(0.3)
        async with asyncio.timeout(30):
            while (await transfers.transfer(begun["id"]))["moved_bytes"] < asked * 64 * KIB:
                await asyncio.sleep(0.01)
        assert len(adapter.reads) == asked < 50
        told = await transfers.transfer(begun["id"])
        assert told["moved_bytes"] == told["done_bytes"] == asked * 64 * KIB, "what was on its way is told, too"
        assert (await transfers.cancel(begun["id"]))["ended"] == told["ended"]
        await transfers.resume(begun["id"])
        told = await until(transfers, begun["id"])
        assert (told["state"], told["moved_bytes"]) == ("done", 50 * 64 * KIB)
        assert len(adapter.reads) == 50
        assert await what_happened(transfers, 2) == ["fetched", "cancelled"]


async def test_t2_an_archive_out_of_reach_is_waited_for(tmp_path):
    (tmp_path / "archive").mkdir()
    archive = ArchiveService(tmp_path / "archive")
    archive.start()
    try:
        for number in range(30):
            old(archive.results() / "run" / f"f{number}", os.urandom(100 * KIB))
        dataset = archive.dataset(access=Access.READ, published=True)
        tuning = Tuning(settle_seconds=0.05, deadline_seconds=2.0)
        async with running_engine(tmp_path / "volume", [dataset], tuning=tuning) as engine:
            transfers = EngineTransfers(engine, tmp_path / "volume")
            await transfers.start()
            begun = await transfers.fetch(["results/run"], bytes_per_second=MIB)
            await until(transfers, begun["id"], "moving")
            archive.stop()
            told = await until(transfers, begun["id"], "waiting")
            assert told["problem"]["code"] == "archive_unreachable"
            assert told["ended"] is None
            unseen = await transfers.fetch(["results/never/seen"])
            assert (await until(transfers, unseen["id"], "waiting"))["files"] == 0
            archive.start()
            await transfers.resume(begun["id"])  # at once; it would go on by itself too
            assert (await until(transfers, begun["id"]))["state"] == "done"
            told = await until(transfers, unseen["id"])
            assert (told["state"], told["failed"][0]["problem"]["code"]) == ("failed", "no_such_file")
            await transfers.stop()
    finally:
        archive.stop()


async def test_t2_faults_between_archive_and_transfer_cost_requests_and_no_byte(tmp_path):
    (tmp_path / "archive").mkdir()
    archive = ArchiveService(tmp_path / "archive")
    archive.start()
    bad = [Fault.RESET, Fault.CUT, Fault.SHORT, Fault.BUSY, Fault.PAGE, Fault.RANGE_IGNORED, Fault.BROKEN]
    faults = [fault for one in bad for fault in (one, *[None] * 5)]
    try:
        contents = {f"f{number}": os.urandom(200 * KIB) for number in range(30)} | {"big": os.urandom(20 * MIB)}
        for name, content in contents.items():
            old(archive.results() / name, content)
        with FaultyProxy("127.0.0.1", archive.port) as proxy:
            dataset = archive.dataset(access=Access.READ, published=True)
            dataset = MountedDataset(
                **{**_fields(dataset), "url": dataset.url.replace(str(archive.port), _port(proxy))}
            )
            tuning = Tuning(settle_seconds=0.05, deadline_seconds=5.0)
            async with running_engine(tmp_path / "volume", [dataset], tuning=tuning) as engine:
                transfers = EngineTransfers(engine, tmp_path / "volume")
                await transfers.start()
                await engine.ls("results")
                proxy.faults = itertools.cycle(faults)
                begun = await transfers.fetch(["results"])
                while (told := await until(transfers, begun["id"], "done", "failed", seconds=60))["state"] == "failed":
                    await transfers.resume(begun["id"])
                assert told["state"] == "done", told
                proxy.faults = iter(())
                for name, content in contents.items():
                    assert await get(engine, f"results/{name}") == content
                await transfers.stop()
    finally:
        archive.stop()


def _fields(dataset):
    return {name: getattr(dataset, name) for name in dataset.__slots__}


def _port(proxy):
    return proxy.address.rpartition(":")[2]


async def test_what_is_not_sent_yet_is_here_already(tmp_path, top):
    async with served(tmp_path, top, access=Access.WRITE) as (engine, transfers, adapter):

        async def away(*_, **__):
            raise ArchiveUnreachable("It is away.", next_step="Wait.")

        adapter.upload = away
        await put(engine, "raw/mine", b"12345")
        plan = await transfers.plan("raw/mine")
        assert (plan["files"], plan["size_bytes"], plan["cached_bytes"], plan["requests"]) == (1, 5, 5, 0)
        told = await until(transfers, (await transfers.fetch(["raw/mine"]))["id"])
        assert (told["state"], told["done_bytes"], told["moved_bytes"]) == ("done", 5, 0)


@pytest.mark.parametrize("ranges", ["tail", "none"])
async def test_t1_an_archive_without_ranges_is_brought_by_one_stream_a_file(ranges, tmp_path, top):
    class Streamed(LocalAdapter):
        opened = 0

        @property
        def capabilities(self):
            return Capabilities(ranges=ranges)

        async def open_stream(self, path, start, if_token):
            Streamed.opened += 1
            content = (top / path).read_bytes()
            for at in range(start, len(content), 300_000):
                await asyncio.sleep(0)
                yield content[at : at + 300_000]

        async def read_range(self, *_):
            raise AssertionError("it takes no ranges")

    contents = {f"f{number}": old(top / f"f{number}", os.urandom(9 * MIB + number)) for number in range(3)}
    dataset = MountedDataset("raw", "Raw", "local", str(top), Access.READ, published=True)
    async with running_engine(
        tmp_path / "v", [dataset], adapters=lambda one: Streamed(one.url, {}), tuning=Tuning(keep_free_bytes=0)
    ) as engine:
        transfers = EngineTransfers(engine, tmp_path / "v")
        await transfers.start()
        plan = await transfers.plan("raw")
        told = await until(transfers, (await transfers.fetch(["raw"]))["id"])
        assert (told["state"], told["moved_bytes"]) == ("done", plan["move_bytes"])
        assert Streamed.opened == plan["requests"] == 3
        for name, content in contents.items():
            assert await get(engine, f"raw/{name}") == content
        assert Streamed.opened == 3
        await transfers.stop()


async def test_t9_the_last_that_ended_are_remembered(tmp_path, top, monkeypatch):
    monkeypatch.setattr("jupyter_alc.dms.transfers.transfers.MOST_ENDED", 3)
    old(top / "a", b"one")
    async with served(tmp_path, top) as (_, transfers, _):
        ids = []
        for _ in range(5):
            ids.append((await transfers.fetch(["raw/a"]))["id"])
            await until(transfers, ids[-1])
        async with asyncio.timeout(30):
            while [one["id"] for one in await transfers.transfers()] != ids[:1:-1]:
                await asyncio.sleep(0.01)
        with pytest.raises(NotFound):
            await transfers.transfer(ids[0])


async def test_t10_what_was_sent_and_what_was_in_conflict_is_in_the_history(tmp_path, top):
    old(top / "theirs", b"as it was")
    async with served(tmp_path, top, access=Access.WRITE) as (engine, transfers, _):
        await put(engine, "raw/mine", b"12345")
        handle = await engine.open("raw/theirs", write=True)
        await engine.write(handle, 0, b"OUR")
        old(top / "theirs", b"somebody else was faster")
        await engine.close(handle)
        await engine.flush(20)
        await what_happened(transfers, 2)
        told = {(one["what"], one["path"]): one["bytes"] for one in await transfers.history()}
        assert told["sent", "raw/mine"] == 5
        assert ("conflict", "raw/theirs") in told
        assert ("changed", "raw/mine") not in told  # by us


async def test_t10_what_changed_in_the_archive_and_what_was_refused_is_in_the_history(tmp_path, top):
    old(top / "a", b"as it was")
    (top / "folder").mkdir()
    async with served(tmp_path, top, access=Access.WRITE) as (engine, transfers, adapter):
        handle = await engine.open("raw/a")
        old(top / "a", b"it is another")
        with pytest.raises(VersionChanged):
            await engine.read(handle, 0, 5)
        await engine.close(handle)
        assert await what_happened(transfers, 1, but="") == ["changed"]

        async def no(*_, **__):
            raise Denied("It is not to be.", next_step="Write elsewhere.")

        adapter.upload = no
        await put(engine, "raw/mine", b"12345")
        await engine.flush(5)
        await what_happened(transfers, 1)
        refused = (await transfers.history("raw/mine"))[0]
        assert (refused["what"], refused["problem"]["message"]) == ("refused", "It is not to be.")


async def test_t11_a_dataset_leaves_the_folder_and_comes_back(tmp_path, top):
    content = old(top / "a", os.urandom(MIB))
    async with served(tmp_path, top, access=Access.WRITE) as (engine, transfers, _):
        heard = transfers.events()
        first = asyncio.ensure_future(anext(heard))
        reading = await engine.open("raw/a")
        writing = await engine.open("raw/new", write=True, create=True)
        await engine.write(writing, 0, b"unsent")
        told = await transfers.unmount("raw")
        assert told["mounted"] is False
        assert [one["path"] for one in told["unsent"]] == ["raw/new"]
        assert await engine.ls("") == []
        for question in (engine.info("raw"), engine.info("raw/a"), engine.ls("raw"), engine.open("raw/a")):
            with pytest.raises(FileNotThere):
                await question
        with pytest.raises(FileNotThere):
            await transfers.plan("raw")
        with pytest.raises(FileNotThere):
            await transfers.fetch(["raw"])
        assert await engine.read(reading, 0, MIB) == content
        await engine.write(writing, 6, b" data")
        await engine.close(writing)
        await engine.close(reading)
        assert await engine.flush(20) == []
        assert (top / "new").read_bytes() == b"unsent data"
        assert (await transfers.mount("raw"))["mounted"] is True
        assert (await transfers.mount("raw")) == {"dataset": "raw", "mounted": True, "unsent": []}
        assert await get(engine, "raw/new") == b"unsent data"
        assert (await first)["what"] in {"names", "data"}
        await heard.aclose()
        with pytest.raises(NotFound):
            await transfers.unmount("other")
        assert set(await what_happened(transfers, 3)) == {"mounted", "unmounted", "sent"}


async def test_t11_a_transfer_waits_while_its_dataset_is_away(tmp_path, top):
    for number in range(40):
        old(top / f"f{number:02}", os.urandom(64 * KIB))
    async with served(tmp_path, top) as (_, transfers, adapter):
        adapter.seconds = 0.05
        begun = await transfers.fetch(["raw"], connections=2)
        await until(transfers, begun["id"], "moving")
        await transfers.unmount("raw")
        told = await until(transfers, begun["id"], "waiting")
        assert told["problem"]["message"] == "raw is not in the folder now."
        await transfers.mount("raw")
        assert (await until(transfers, begun["id"]))["state"] == "done"


async def test_t12_a_mirror_begins_by_itself_and_brings_what_is_new_at_the_next_start(tmp_path, top):
    for number in range(5):
        old(top / "run" / f"f{number}", os.urandom(100 * KIB))
    mirror = Transfer(pattern=Pattern.MIRROR)
    async with served(tmp_path, top, transfer=mirror) as (_, transfers, _):
        (told,) = await transfers.transfers()
        assert (told["pattern"], told["paths"]) == ("mirror", ["raw"])
        assert (await until(transfers, told["id"]))["files_done"] == 5
    old(top / "run" / "new", os.urandom(KIB))
    async with served(tmp_path, top, transfer=mirror) as (_, transfers, adapter):
        (told,) = await transfers.transfers()
        told = await until(transfers, told["id"])
        assert (told["state"], told["files_done"], told["moved_bytes"], adapter.moved) == ("done", 6, KIB, KIB)


async def test_t12_the_facility_may_refuse_fetching_by_list(tmp_path, top):
    old(top / "a", b"one")
    async with served(tmp_path, top, transfer=Transfer(fetch_by_list=False)) as (engine, transfers, _):
        with pytest.raises(Denied):
            await transfers.fetch(["raw/a"])
        assert await get(engine, "raw/a") == b"one"
        assert (await transfers.plan("raw"))["files"] == 1


@pytest.mark.parametrize(("pattern", "opened", "ahead"), [("lazy", 1, 0), ("siblings", 1, 8), ("list", 6, 0)])
async def test_t12_patterns_say_which_small_files_come_unasked(pattern, opened, ahead, tmp_path, top):
    for number in range(40):
        old(top / f"f{number:02}", os.urandom(KIB))
    async with served(tmp_path, top, transfer=Transfer(pattern=Pattern(pattern))) as (engine, _, adapter):
        await engine.ls("raw")
        for number in range(opened):
            await get(engine, f"raw/f{number:02}")
        async with asyncio.timeout(30):
            while len(adapter.reads) < opened + ahead:
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.2)
        assert len(adapter.reads) == opened + ahead


async def test_t14_events_tell_of_transfers_names_and_the_status(tmp_path, top):
    old(top / "a", os.urandom(KIB))
    async with served(tmp_path, top, access=Access.WRITE) as (engine, transfers, _):
        heard = set()

        async def listen():
            async for event in transfers.events():
                heard.add((event["what"], event["path"]))

        listening = asyncio.create_task(listen())
        await asyncio.sleep(0)
        begun = await transfers.fetch(["raw"])
        await until(transfers, begun["id"])
        await put(engine, "raw/new", b"one")
        await engine.flush(20)
        await engine.unlink("raw/new")
        async with asyncio.timeout(30):
            while not {("transfer", begun["id"]), ("names", "raw/new"), ("data", "")} <= heard:
                await asyncio.sleep(0.01)
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)


@pytest.mark.parametrize("paths", [[], [""], ["/"], ["raw/../x"], ["raw//x"]], ids=repr)
async def test_what_is_no_list_of_paths_is_refused(paths, tmp_path, top):
    async with served(tmp_path, top) as (_, transfers, _):
        with pytest.raises(BadInput):
            await transfers.fetch(paths)


async def test_what_is_not_there_is_said_at_once(tmp_path, top):
    async with served(tmp_path, top) as (_, transfers, _):
        for path in ("other", "other/a", "raw/none"):
            with pytest.raises(FileNotThere):
                await transfers.fetch([path])
        with pytest.raises(NotFound):
            await transfers.resume("transfer-unknown")
