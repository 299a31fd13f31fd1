"""Views of a dataset, by rule N18 of docs/semantics/dms.md, through the engine, `dms://`, transfers and the mount."""

from __future__ import annotations

import asyncio
import errno
import itertools
import os
import re
import subprocess
import tempfile
import time
import weakref
from pathlib import Path

import pytest

from jupyter_alc.core.dataset import Access, MountedDataset
from jupyter_alc.core.errors import ArchiveUnreachable, FileNotThere, ReadOnly, TooMany
from jupyter_alc.core.views import View, rule_of
from jupyter_alc.dms.adapters.local import LocalAdapter
from jupyter_alc.dms.engine import names as names_module
from jupyter_alc.dms.engine import names_silence, views, views_walk
from jupyter_alc.dms.engine.folders import Told
from jupyter_alc.dms.entry import Entry
from jupyter_alc.dms.filesystem import DmsFileSystem
from jupyter_alc.dms.transfers.access import EngineTransfers
from jupyter_alc.testing.data_service import DataService
from jupyter_alc.testing.engines import get, put, running_engine
from stalls import Stalls

pytestmark = pytest.mark.integration

OF = "{cycle}/{instrument}/{instrument}{run:digits}.nxs"
RUNS = View("by-run", OF, "{cycle}/{run}/")
EXPERIMENTS = View("by-experiment", "{cycle}/{instrument}/RB{number:digits}/", "RB{number}/{cycle}-{instrument}")
FLAT = View("flat", OF, "{run}.nxs")


class Watched(LocalAdapter):
    """A folder that tells what was listed and asked for, and can be away."""

    def __init__(self, dataset):
        super().__init__(dataset.url, dataset.credentials)
        self.asked, self.away, self.hangs = [], False, False

    async def info(self, path):
        self._note("info", path)
        await self._hang()
        return await super().info(path)

    async def listing_pages(self, path):
        self._note("list", path)
        await self._hang()
        async for page in super().listing_pages(path):
            yield page

    def _note(self, what, path):
        self.asked.append((what, path))
        if self.away:
            raise ArchiveUnreachable("The archive does not answer.", next_step="Try again.")

    async def _hang(self):
        if self.hangs:
            await asyncio.Event().wait()

    @property
    def listed(self):
        """The folders listed since the last look, sorted; nothing else was asked."""
        told = sorted(self.asked)
        self.asked.clear()
        assert {what for what, _ in told} <= {"list"}
        return [path for _, path in told]


@pytest.fixture
def archive(tmp_path):
    """Two cycles of two instruments with three runs each, an experiment's folder, and what matches nothing."""
    for cycle in ("2024A", "2024B"):
        for instrument in ("LOQ", "SANS"):
            folder = tmp_path / "archive" / cycle / instrument
            (folder / "RB77").mkdir(parents=True)
            (folder / "RB77" / "log.txt").write_text(f"{cycle} {instrument}")
            (folder / "notes.txt").write_text("notes")
            for run in (7, 8, 12):
                (folder / f"{instrument}{run}.nxs").write_text(f"{cycle} {instrument} {run}")
            for one in folder.rglob("*.*"):
                os.utime(one, (1e9, 1e9))  # a version of a moment ago is told as one that may still change
    return tmp_path / "archive"


def dataset(archive, *shown, access=Access.WRITE, published=True):
    return MountedDataset("ds", "Data", "local", str(archive), access, published=published, views=shown)


@pytest.fixture
async def adapter(archive, tmp_path):
    """The adapter of an engine with all three views, and the engine."""
    made = []

    def opened(told):
        made.append(Watched(told))
        return made[-1]

    shown = dataset(archive, RUNS, EXPERIMENTS, FLAT)
    async with running_engine(tmp_path / "volume", [shown], adapters=opened) as engine:
        made[0].engine = engine
        yield made[0]


async def names(engine, path):
    return [one.name for one in await engine.ls(path)]


async def test_n18_a_view_shows_the_archives_files_in_its_folders_and_lists_only_what_leads_there(adapter):
    engine = adapter.engine
    assert await names(engine, "ds") == ["2024A", "2024B", "by-experiment", "by-run", "flat"]
    assert adapter.listed == [""]
    assert await names(engine, "ds/by-run") == ["2024A", "2024B"]
    assert adapter.listed == []
    assert await names(engine, "ds/by-run/2024A") == ["12", "7", "8"]
    assert adapter.listed == ["2024A", "2024A/LOQ", "2024A/SANS"]
    assert await names(engine, "ds/by-run/2024A/12") == ["LOQ12.nxs", "SANS12.nxs"]
    assert adapter.listed == []
    link = await engine.info("ds/by-run/2024A/12/SANS12.nxs")
    assert link.target == "ds/2024A/SANS/SANS12.nxs"
    assert link.size == len("2024A SANS 12")
    assert await get(engine, "ds/by-run/2024A/12/SANS12.nxs") == b"2024A SANS 12"
    assert await names(engine, "ds/by-experiment/RB77/2024A-SANS") == ["log.txt"]
    assert await get(engine, "ds/by-experiment/RB77/2024A-SANS/log.txt") == b"2024A SANS"
    for absent in ("by-run/2025", "by-run/2024A/99", "by-run/2024A/12/SANS7.nxs", "by-experiment/RB1", "flat/12.nxs"):
        with pytest.raises(FileNotThere):
            await engine.info(f"ds/{absent}")


async def test_n18_two_of_one_name_are_both_shown(adapter):
    engine = adapter.engine
    shown = await engine.ls("ds/flat")
    assert len({one.name for one in shown}) == 12
    assert all(re.fullmatch(r"(7|8|12)~[0-9a-f]{16}\.nxs", one.name) for one in shown)
    for one in shown:
        assert (await engine.info(f"ds/flat/{one.name}")).target == one.target
        assert (await get(engine, f"ds/flat/{one.name}")).decode().split()[:2] == one.target.split("/")[1:3]
    assert {one.target for one in shown} == {
        f"ds/{cycle}/{instrument}/{instrument}{run}.nxs"
        for cycle in ("2024A", "2024B") for instrument in ("LOQ", "SANS") for run in (7, 8, 12)
    }  # fmt: skip


async def test_n18_a_name_that_looks_marked_hides_nothing(tmp_path):
    for name in ("a/x.nxs", "b/x.nxs"):
        (tmp_path / "archive" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "archive" / name).touch()
    view = View("v", "{folder}/{name}.nxs", "{name}.nxs")
    async with running_engine(tmp_path / "volume", [dataset(tmp_path / "archive", view, published=False)]) as engine:
        taken = (await engine.ls("ds/v"))[0]
        (tmp_path / "archive" / "c").mkdir()
        (tmp_path / "archive" / "c" / taken.name).touch()
        await engine.refresh("ds/v")
        shown = await engine.ls("ds/v")
        assert len({one.name for one in shown}) == len({one.target for one in shown}) == 3
        assert (await engine.info(f"ds/v/{taken.name}")).target == taken.target


async def test_n18_nobody_changes_a_view_and_writing_goes_where_a_link_leads(adapter, archive):
    engine = adapter.engine
    link = "ds/by-run/2024A/12/SANS12.nxs"
    for refused in (
        engine.mkdir("ds/by-run/2025"),
        engine.rmdir("ds/by-run"),
        engine.unlink(link),
        engine.rename(link, "ds/elsewhere"),
        engine.rename("ds/2024A/SANS/notes.txt", "ds/by-run/2024A/notes.txt"),
        engine.unlink("ds/by-experiment/RB77/2024A-SANS/log.txt"),
        put(engine, "ds/by-run/new", b""),
        put(engine, "ds/by-run/2024A/12/new.nxs", b""),
    ):
        with pytest.raises(ReadOnly) as told:
            await refused
        assert "real path" in told.value.next_step
    await put(engine, link, b"mine")
    assert await get(engine, "ds/2024A/SANS/SANS12.nxs") == b"mine"
    await put(engine, "ds/2024A/SANS/SANS99.nxs", b"new, unsent")
    assert await get(engine, "ds/by-run/2024A/99/SANS99.nxs") == b"new, unsent"
    assert not await engine.flush(10)
    assert (archive / "2024A/SANS/SANS12.nxs").read_bytes() == b"mine"


async def test_n18_the_archives_own_name_wins_and_the_status_says_so(archive, tmp_path):
    (archive / "flat").mkdir()
    (archive / "flat" / "own.txt").write_text("own")
    async with running_engine(tmp_path / "volume", [dataset(archive, RUNS, FLAT)]) as engine:
        assert await names(engine, "ds") == ["2024A", "2024B", "by-run", "flat"]
        assert await names(engine, "ds/flat") == ["own.txt"]
        problem = engine.status()[0].problem
        assert problem is not None
        assert "flat" in problem["message"]


async def test_n3_while_the_archive_is_away_a_view_is_as_it_was_last_seen_or_an_error(adapter):
    engine = adapter.engine
    assert await names(engine, "ds") != []
    assert await names(engine, "ds/by-run/2024A") == ["12", "7", "8"]
    adapter.away = True
    assert await names(engine, "ds/by-run/2024A/12") == ["LOQ12.nxs", "SANS12.nxs"]
    for unknown in ("ds/by-run/2024B", "ds/flat"):
        with pytest.raises(ArchiveUnreachable):
            await engine.ls(unknown)
    with pytest.raises(ArchiveUnreachable):
        await engine.info("ds/by-run/2024B/12/SANS12.nxs")


async def test_n3_an_archive_that_hangs_keeps_the_top_of_a_dataset_with_views_waiting_no_longer_than_one_without(
    archive, tmp_path, monkeypatch
):
    monkeypatch.setattr(names_module, "LIVE_SECONDS", 0.0)
    monkeypatch.setattr(names_module, "ABSENT_SECONDS", 0.0)
    monkeypatch.setattr(names_silence, "SILENT_SECONDS", 0.6)
    made, shown = [], dataset(archive, RUNS, EXPERIMENTS, FLAT, published=False)

    def opened(told):
        made.append(Watched(told))
        return made[-1]

    async with running_engine(tmp_path / "volume", [shown], adapters=opened) as engine:
        top = ["2024A", "2024B", "by-experiment", "by-run", "flat"]
        assert await names(engine, "ds") == top
        made[0].hangs = True
        with Stalls() as stalls:
            for most in (3.0, 1.5, 1.5):
                begun = stalls.mark()
                assert await names(engine, "ds") == top
                assert stalls.since(begun) < most
            begun = stalls.mark()
            assert (await engine.info("ds/flat")).is_folder
            assert stalls.since(begun) < 1.5


async def test_n18_names_that_are_asked_for_one_by_one_count_too(tmp_path, monkeypatch):
    for folder in ("a", "b", "c", "d"):
        (tmp_path / "archive" / folder / "log").mkdir(parents=True)
        (tmp_path / "archive" / folder / "log" / "x.nxs").touch()
    view = View("v", "{folder}/log/x.nxs", "{folder}.nxs")
    monkeypatch.setattr(views_walk, "MOST_ASKED", 9)  # the top, and two names in each of four folders
    async with running_engine(tmp_path / "volume", [dataset(tmp_path / "archive", view)]) as engine:
        assert await names(engine, "ds/v") == ["a.nxs", "b.nxs", "c.nxs", "d.nxs"]
        monkeypatch.setattr(views_walk, "MOST_ASKED", 8)
        with pytest.raises(TooMany, match="8 questions to the archive") as told:
            await engine.ls("ds/v")
        assert "view v" in told.value.next_step


async def test_n18_what_was_learned_ahead_is_kept_no_longer_than_it_is_of_use():
    class Archive:
        async def real_pages(self, _key, _inner):
            return Told([Entry(f"{one:03}", "directory", 0, 0.0, "x") for one in range(300)])

        async def real_info(self, _key, inner):
            await asyncio.sleep(0)
            return Entry(inner, "file", 0, 0.0, "x")

        async def learn(self, _key, _inner, *, listing):
            assert not listing

    made: weakref.WeakSet[asyncio.Task] = weakref.WeakSet()  # this question's own: a run has tasks of other tests

    def task(loop, work, **more):
        made.add(one := asyncio.Task(work, loop=loop, **more))
        return one

    asyncio.get_running_loop().set_task_factory(task)
    walk = views_walk.Walk(Archive(), views_walk.Place("ds", rule_of(View("v", "{folder}/x", "{folder}")), (), ""))
    most = 0
    async for some in walk.found(2):
        last = some
        most = max(most, len(made))
    assert last[0].path == "000/x"
    assert 0 < most < 100


async def test_r16_a_page_of_names_that_are_long_to_read_leaves_others_their_turn():
    class Archive:
        async def real_pages(self, _key, _inner):
            return Told([Entry("_" * 245 + f"{one:05}.nxs", "file", 0, 0.0, "x") for one in range(1000)])

    view = View("v", "{a}_{b}_{c}_{d}_{e}_{f}.nxs", "{a}/")
    with Stalls(loop=True) as stalls:
        turns = [stalls.mark()]

        async def other():
            while True:
                await asyncio.sleep(0)
                turns.append(stalls.mark())

        others = asyncio.create_task(other())
        try:
            walk = views_walk.Walk(Archive(), views_walk.Place("ds", rule_of(view), (), ""))
            assert sum([len(some) async for some in walk.found(1)]) == 1000
        finally:
            others.cancel()
        longest = [stalls.between(before, after) for before, after in itertools.pairwise(turns)]
    assert max(longest) < 0.05


async def test_n18_what_spans_too_much_is_an_error_that_says_what_to_change(adapter, monkeypatch):
    engine = adapter.engine
    monkeypatch.setattr(views, "MOST_COMPARED", 11)
    with pytest.raises(TooMany, match="11 entries") as told:
        await engine.ls("ds/flat")
    assert "view flat" in told.value.next_step
    assert told.value.errno == errno.EOVERFLOW
    monkeypatch.setattr(views_walk, "MOST_LISTED", 3)
    with pytest.raises(TooMany, match="3 folders of the archive"):
        await engine.ls("ds/flat")
    assert await names(engine, "ds/by-run/2024A") == ["12", "7", "8"]


async def test_n14_a_new_run_is_in_the_views_of_a_live_dataset_and_told_there(archive, tmp_path):
    async with running_engine(tmp_path / "volume", [dataset(archive, RUNS, published=False)]) as engine:
        told = []
        engine.on_change(lambda what, path: told.append((what, path)))
        assert await names(engine, "ds/by-run/2024A") == ["12", "7", "8"]
        with Stalls() as stalls:
            begun = stalls.mark()
            (archive / "2024A/SANS/SANS13.nxs").write_text("new")
            while ("stale", "ds/by-run/2024A/13/SANS13.nxs") not in told:
                assert stalls.since(begun) < 10
                await asyncio.sleep(0.05)
        assert await names(engine, "ds/by-run/2024A") == ["12", "13", "7", "8"]


async def test_n15_a_refresh_of_a_view_asks_the_archive_anew(adapter, archive):
    engine = adapter.engine
    assert await names(engine, "ds/by-run/2024A") == ["12", "7", "8"]
    (archive / "2024A/SANS/SANS13.nxs").write_text("new")
    assert await names(engine, "ds/by-run/2024A") == ["12", "7", "8"]
    await engine.refresh("ds/by-run/2024A")
    assert await names(engine, "ds/by-run/2024A") == ["12", "13", "7", "8"]


async def test_n18_a_large_folder_of_a_view_is_told_by_parts_and_as_it_comes(tmp_path):
    (tmp_path / "archive").mkdir()
    for number in range(3000):
        (tmp_path / "archive" / f"{number:05}.nxs").touch()
    view = View("v", "{run:digits}.nxs", "all/{run}")
    async with running_engine(tmp_path / "volume", [dataset(tmp_path / "archive", view)]) as engine:
        while (first := await engine.part("ds/v/all", "", 1000)).coming:
            pass  # a busy computer may need more than a part's two seconds
        assert [one.name for one in first.entries] == [f"{number:05}" for number in range(1000)]
        assert (await engine.part("ds/v/all", "02500", 1000)).after is None
        assert len(await engine.ls("ds/v/all")) == 3000


async def test_t8_a_plan_and_a_fetch_of_a_view_are_of_what_it_leads_to_and_nothing_is_brought_twice(adapter, tmp_path):
    engine = adapter.engine
    transfers = EngineTransfers(engine, tmp_path / "volume")
    await transfers.start()
    try:
        whole = await transfers.plan("ds")
        assert whole["files"] == 20
        for path, files in (
            ("ds/by-run/2024A/12", 2), ("ds/by-run/2024A/12/SANS12.nxs", 1), ("ds/by-experiment/RB77", 4),
            ("ds/by-experiment/RB77/2024A-SANS", 1), ("ds/flat", 12),
        ):  # fmt: skip
            assert (await transfers.plan(path))["files"] == files
        fetched = await transfers.fetch(["ds/by-run/2024A/12", "ds/by-experiment/RB77/2024A-SANS"])
        while (now := await transfers.transfer(fetched["id"]))["state"] in {"listing", "moving"}:
            await asyncio.sleep(0.05)
        assert (now["state"], now["files_done"]) == ("done", 3)
        for folder in ("ds/by-run/2024A/12", "ds/by-experiment/RB77/2024A-SANS"):
            assert {one.state for one in (await engine.files(folder, "", 10)).entries} == {"cached"}
        assert await engine.state("ds/2024A/SANS/SANS12.nxs") == "cached"
        assert await engine.state("ds/by-run/2024A/12/SANS12.nxs") == "cached"
        assert await engine.state("ds/by-run/2024A/7/SANS7.nxs") == "archive"
    finally:
        await transfers.stop()


async def test_t13_a_view_that_comes_with_a_changed_catalogue_is_there_and_one_that_left_is_not(archive, tmp_path):
    async with running_engine(tmp_path / "volume", [dataset(archive, RUNS)]) as engine:
        engine.adopt([dataset(archive, EXPERIMENTS)])
        assert await names(engine, "ds") == ["2024A", "2024B", "by-experiment"]
        assert await names(engine, "ds/by-experiment/RB77/2024A-SANS") == ["log.txt"]
        with pytest.raises(FileNotThere):
            await engine.info("ds/by-run")


async def test_n13_the_number_of_a_link_leads_to_it_and_is_not_the_files(adapter):
    engine = adapter.engine
    link = (await engine.ls("ds/by-run/2024A/12"))[0]
    file = await engine.info("ds/2024A/LOQ/LOQ12.nxs")
    assert link.number not in {0, file.number}
    assert await engine.named(link.number) == ("ds/by-run/2024A/12/LOQ12.nxs", link)


@pytest.fixture
def service(archive):
    """A data service with a mount; the dataset has all three views."""
    with tempfile.TemporaryDirectory(prefix="alc-t-") as place:
        shown = dataset(archive, RUNS, EXPERIMENTS, FLAT, published=False)
        running = DataService(Path(place) / "dms", [shown], mount=Path(place) / "data")
        running.place.mkdir()
        try:
            running.start()
            yield running
        finally:
            running.stop()
            subprocess.run(["umount", "-l", str(running.mount)], check=False, capture_output=True)


def test_n18_dms_reads_through_links_and_walks_leave_views_out(service):
    files = DmsFileSystem(socket=str(service.socket))
    link = "ds/by-run/2024A/12/SANS12.nxs"
    assert files.cat(f"dms://{link}") == b"2024A SANS 12"
    assert files.info(link)["target"] == "ds/2024A/SANS/SANS12.nxs"
    assert files.open(link).read() == b"2024A SANS 12"
    assert [one["name"] for one in files.ls("ds") if one.get("view")] == ["ds/by-experiment", "ds/by-run", "ds/flat"]
    assert len(files.find("ds")) == len(files.glob("ds/**/*.*")) == 20
    assert sum(len(found) for _, _, found in files.walk("ds")) == 20
    assert sorted(files.find("ds/by-run/2024A/12")) == [f"{link.replace('SANS12', 'LOQ12')}", link]
    assert len(files.glob("ds/by-run/*/12/SANS*.nxs")) == 2
    assert len(files.find("ds/by-experiment")) == 4
    files.pipe(link, b"through the link")
    assert files.cat("ds/2024A/SANS/SANS12.nxs") == b"through the link"
    with pytest.raises(ReadOnly):
        files.pipe("ds/by-run/2024A/12/new.nxs", b"")
    with pytest.raises(ReadOnly):
        files.rm("ds/by-experiment", recursive=True)
    assert files.exists("ds/2024A/SANS/RB77/log.txt")


@pytest.mark.fuse
def test_n18_in_the_mount_a_view_is_folders_of_relative_links(service, archive):
    top = service.mount / "ds"
    link = top / "by-run/2024A/12/SANS12.nxs"
    assert str(link.readlink()) == "../../../2024A/SANS/SANS12.nxs"
    assert link.lstat().st_size == len(str(link.readlink()))
    assert link.read_text() == "2024A SANS 12"
    assert link.samefile(top / "2024A/SANS/SANS12.nxs")
    assert (top / "by-experiment/RB77/2024A-SANS/log.txt").read_text() == "2024A SANS"

    def run(*words):
        return subprocess.run(words, capture_output=True, text=True, check=False, cwd=top).stdout

    found = run("grep", "-rl", "SANS 12", ".").split()
    assert sorted(found) == ["./2024A/SANS/SANS12.nxs", "./2024B/SANS/SANS12.nxs"]
    assert len(run("find", ".", "-type", "l").split()) == 12 + 4 + 12
    assert "SANS12.nxs -> ../../../2024A" in run("ls", "-l", str(link.parent))
    for made in (link.with_name("new"), top / "by-run" / "new"):
        with pytest.raises(OSError, match="Read-only"):
            made.write_text("")
    with pytest.raises(OSError, match="Read-only"):
        link.unlink()
    with pytest.raises(OSError, match="Read-only"):
        (top / "by-run/2025").mkdir()
    with pytest.raises(OSError, match="Read-only"):
        (top / "2024A/SANS/notes.txt").rename(top / "by-run/2024A/notes.txt")
    link.write_text("through the link")
    assert (top / "2024A/SANS/SANS12.nxs").read_text() == "through the link"
    with Stalls(service.process.pid) as stalls:
        begun = stalls.mark()
        (archive / "2024A/SANS/SANS13.nxs").write_text("new")
        while not (top / "by-run/2024A/13").exists():
            assert stalls.since(begun) < 10
            time.sleep(0.1)
    assert (top / "by-run/2024A/13/SANS13.nxs").read_text() == "new"
