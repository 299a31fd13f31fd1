"""What is known of names: on disk as in a plain model, whatever comes in between."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import tempfile
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from jupyter_alc.core.dataset import Access, MountedDataset
from jupyter_alc.core.errors import ArchiveUnreachable, FileNotThere, NotFolder
from jupyter_alc.dms.adapters.interface import AnsweredBadly, Capabilities
from jupyter_alc.dms.engine import names_silence
from jupyter_alc.dms.engine.link import Link
from jupyter_alc.dms.engine.names import Names
from jupyter_alc.dms.engine.names_rows import NameRows
from jupyter_alc.dms.engine.names_store import NameStore
from jupyter_alc.dms.entry import Entry
from stalls import Stalls

pytestmark = pytest.mark.unit


class Clock:
    """A clock that is turned by hand."""

    def __init__(self):
        self.seconds = 1000.0

    def monotonic(self):
        return self.seconds


class Archive:
    """A tree in memory, told by pages of two names."""

    capabilities = Capabilities()

    def __init__(self):
        self.tree: dict[str, Entry] = {}
        self.away = False
        self.asked = 0
        self.break_after: list[int] = []  # pages that come before a listing breaks off
        self.waits: asyncio.Event | None = None
        self.hangs: dict[str, asyncio.Event] = {}  # what answers only then

    async def info(self, path):
        self._ask()
        if path in self.hangs:
            await self.hangs[path].wait()
        if path not in self.tree:
            raise FileNotThere(f"{path} is not there.", next_step="Look.")
        return self.tree[path]

    async def listing(self, path):
        return [one async for page in self.listing_pages(path) for one in page]

    async def listing_pages(self, path):
        self._ask()
        if path in self.hangs:
            await self.hangs[path].wait()
        if path and path not in self.tree:
            raise FileNotThere(f"{path} is not there.", next_step="Look.")
        left = self.break_after.pop(0) if self.break_after else None
        inside = [one for at, one in sorted(self.tree.items()) if at.rpartition("/")[0] == path]
        for start in range(0, max(1, len(inside)), 2):
            if left is not None and start // 2 >= left:
                raise AnsweredBadly("It broke off.", next_step="Again.")
            yield inside[start : start + 2]
            if self.waits is not None:
                await self.waits.wait()

    async def close(self):
        pass

    def _ask(self):
        self.asked += 1
        if self.away:
            raise ArchiveUnreachable("Away.", next_step="Wait.")

    def add(self, path, token='"1"', kind="file", size=1):
        self.tree[path] = Entry(path.rpartition("/")[2], kind, size, 12.5, token)


class World:
    """Names of one dataset of an archive, published unless said otherwise."""

    def __init__(self, folder, *, published=True, url="x://"):
        self.archive, self.clock, self.stale = Archive(), Clock(), []
        self.dataset = MountedDataset("ds", "Data", "x", url, Access.WRITE, published=published)
        self.folder = folder
        self.open()

    def open(self):
        self.store = NameStore(self.folder)
        self.link = Link(self.dataset, self.archive, self.clock, 5.0, lambda: None)
        self.names = Names(self.link, self.clock, self.stale.append, self.store)

    async def close(self):
        await self.names.stop()
        await self.store.stop()

    async def again(self):
        """End and start as a new process does."""
        await self.close()
        self.open()

    async def listed(self, path=""):
        return [one.name for one in await self.names.listing(path)]


async def all_of(reader):
    told = []
    while some := await reader.more():
        told += [one.name for one in some]
    return told


@pytest.fixture
async def world(tmp_path):
    made = World(tmp_path / "names")
    yield made
    await made.close()


async def test_n10_the_first_names_are_told_while_more_come(world):
    for number in range(10):
        world.archive.add(f"f{number}")
    world.archive.waits = asyncio.Event()
    reader, other = world.names.pages(""), world.names.pages("")
    assert [one.name for one in await reader.more()] == ["f0", "f1"]
    assert [one.name for one in await other.more()] == ["f0", "f1"]
    world.archive.waits.set()
    assert await all_of(reader) == [f"f{number}" for number in range(2, 10)]
    assert world.archive.asked == 1
    assert await world.listed() == [f"f{number}" for number in range(10)]
    assert world.archive.asked == 1


@pytest.fixture
def silent_soon(monkeypatch):
    """Patience of a tenth."""
    monkeypatch.setattr(names_silence, "SILENT_SECONDS", 0.3)
    monkeypatch.setattr(names_silence, "FOUND_OUT_SECONDS", 0.02)


async def test_n3_of_an_archive_that_hangs_what_was_last_seen_is_shown_within_moments(world, silent_soon):
    for name in ("a", "b"):
        world.archive.add(name)
    assert await world.listed() == ["a", "b"]
    world.clock.seconds += 61
    world.archive.hangs = dict.fromkeys(["", "a", "b"], asyncio.Event())
    world.archive.add("a", token='"2"')
    world.archive.add("c")
    with Stalls() as stalls:
        begun = stalls.mark()
        assert (await world.names.info("a")).token == '"1"'
        first = stalls.mark()
        assert (await world.names.info("b")).token == '"1"'
        assert await world.listed() == ["a", "b"]
        assert stalls.since(first) < 1
        assert first[0] - begun[0] > 0.25
        assert stalls.between(begun, first) < 3
    world.archive.hangs[""].set()
    async with asyncio.timeout(20):
        while (await world.names.info("a")).token != '"2"':
            await asyncio.sleep(0.01)
    world.clock.seconds += 61
    assert await world.listed() == ["a", "b", "c"]


async def test_n3_while_the_archive_answers_others_its_answer_is_waited_for(world, monkeypatch):
    ends = []  # of each patience, which ends when we say so

    async def wait(answers, **_):
        ends.append(asyncio.get_running_loop().create_future())
        return await asyncio.wait({*answers, ends[-1]}, return_when=asyncio.FIRST_COMPLETED)

    monkeypatch.setattr(names_silence, "asyncio", SimpleNamespace(wait=wait))
    for name in ("a", "b"):
        world.archive.add(name)
    assert await world.listed() == ["a", "b"]
    world.clock.seconds += 61
    world.archive.hangs["a"] = asyncio.Event()
    world.archive.add("a", token='"2"')
    ends.clear()
    asked = asyncio.create_task(world.names.info("a"))
    for _ in range(20):
        while not (ends or asked.done()):
            await asyncio.sleep(0)
        world.clock.seconds += 61
        await world.names.info("b")
        while ends:
            ends.pop().set_result(None)
        await asyncio.sleep(0)
    assert not asked.done()
    world.archive.hangs["a"].set()
    assert (await asked).token == '"2"'


async def test_n3_a_name_never_seen_is_waited_for_and_is_no_absence(world, silent_soon):
    world.archive.hangs["new"] = asyncio.Event()
    asked = asyncio.create_task(world.names.info("new"))
    await asyncio.sleep(1)
    assert not asked.done()
    world.archive.add("new")
    world.archive.hangs["new"].set()
    assert (await asked).name == "new"


async def test_n11_a_listing_that_breaks_off_is_begun_again_and_tells_no_name_twice(world):
    for number in range(9):
        world.archive.add(f"f{number}")
    world.archive.break_after = [2, 3]
    assert await all_of(world.names.pages("")) == [f"f{number}" for number in range(9)]
    assert world.archive.asked == 3


async def test_n11_a_listing_that_breaks_off_for_good_is_an_error_or_what_was_last_seen(world):
    for number in range(9):
        world.archive.add(f"f{number}")
    world.archive.break_after = [2, 2, 2]
    reader = world.names.pages("")
    with pytest.raises(ArchiveUnreachable):
        await all_of(reader)
    with pytest.raises(ArchiveUnreachable):
        await reader.more()
    assert len(await world.listed()) == 9
    world.clock.seconds += 61
    world.archive.add("a-new-one")
    world.archive.break_after = [2, 2, 2]
    assert sorted(await world.listed()) == ["a-new-one", *(f"f{number}" for number in range(9))]


async def test_n12_after_a_restart_names_are_asked_for_and_believed_only_while_the_archive_is_away(world):
    world.archive.add("file", size=7)
    assert await world.listed() == ["file"]
    await world.again()
    assert await world.listed() == ["file"]
    assert world.archive.asked == 2
    await world.again()
    world.archive.away = True
    assert await world.listed() == ["file"]
    world.clock.seconds += 10
    assert (await world.names.info("file")).size == 7
    assert await world.names.last_seen("other") == (True, None)
    with pytest.raises(ArchiveUnreachable):
        await world.names.info("other")


async def test_n12_names_of_another_address_are_never_taken(tmp_path):
    one = World(tmp_path / "names", url="x://one")
    one.archive.add("file")
    await one.listed()
    await one.close()
    other = World(tmp_path / "names", url="x://other")
    other.archive.away = True
    with pytest.raises(ArchiveUnreachable):
        await other.listed()
    await other.close()


async def test_n12_a_damaged_file_costs_asking_again(tmp_path):
    world = World(tmp_path / "names")
    world.archive.add("file")
    await world.listed()
    await world.close()
    (tmp_path / "names" / "names.sqlite").write_bytes(b"no database" * 1000)
    for left in (tmp_path / "names").glob("*-wal"):
        left.unlink()
    world.open()
    assert await world.listed() == ["file"]
    await world.close()


async def test_n12_where_the_disk_takes_no_more_names_are_kept_in_memory(world, monkeypatch):
    world.archive.add("file")
    assert await world.listed() == ["file"]

    def full(*_):
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(NameRows, "note", full)
        world.archive.add("later")
        world.clock.seconds += 61
        with pytest.raises(ArchiveUnreachable):
            await world.names.info("later")
    world.clock.seconds += 3
    assert (await world.names.info("later")).name == "later"
    assert await world.listed() == ["file", "later"]
    assert world.archive.asked >= 3


async def test_n12_a_listing_whose_rows_are_lost_on_the_way_is_an_error_and_never_a_short_list(world, monkeypatch):
    for number in range(30):
        world.archive.add(f"f{number:02}")
    await world.listed()
    world.clock.seconds += 61
    world.archive.waits = asyncio.Event()
    reader = world.names.pages("")
    assert await reader.more()
    with monkeypatch.context() as patched:

        def broken(*_):
            raise sqlite3.DatabaseError("malformed")

        patched.setattr(NameRows, "look", broken)
        with pytest.raises(ArchiveUnreachable):
            await world.names.info("other")
    world.archive.waits.set()
    with pytest.raises(ArchiveUnreachable):
        await all_of(reader)


async def test_n13_the_same_version_is_the_same_number_and_another_another(world):
    world.archive.add("d", kind="directory", token='"d"')
    world.archive.add("d/file")
    first = (await world.names.info("d/file")).number
    assert [one.number for one in await world.names.listing("d")] == [first]
    world.clock.seconds += 61
    world.archive.tree["d/file"] = Entry("file", "file", 1, 13.0, '"2"')
    second = (await world.names.listing("d"))[0].number
    assert second != first
    assert world.stale == ["d/file"]
    found = await world.store.ask(lambda rows: rows.named(second))
    assert (found.path, found.entry.token, found.tree) == ("d/file", '"2"', world.names.key)
    assert await world.store.ask(lambda rows: rows.named(first)) is None


async def test_n13_what_was_removed_and_came_back_has_another_number(world):
    world.archive.add("file")
    first = (await world.names.info("file")).number
    world.names.put("file", None)
    with pytest.raises(FileNotThere):
        await world.names.info("file")
    world.clock.seconds += 6
    assert (await world.names.info("file")).number != first


async def test_n13_a_rename_keeps_the_numbers_of_all_that_moves(world):
    for path, kind in (("a", "directory"), ("a/in", "directory"), ("a/in/f", "file"), ("ab", "file")):
        world.archive.add(path, kind=kind)
    numbers = [(await world.names.info(path)).number for path in ("a", "a/in", "a/in/f", "ab")]
    world.archive.tree = {("b" + at[1:] if at in {"a"} or at.startswith("a/") else at): one for at, one in
                          world.archive.tree.items()}  # fmt: skip
    world.names.moved("a", "b")
    assert [(await world.names.info(path)).number for path in ("b", "b/in", "b/in/f", "ab")] == numbers
    with pytest.raises(FileNotThere):
        await world.names.info("a/in/f")


async def test_n15_a_refresh_asks_whatever_was_believed(world):
    world.archive.add("d", kind="directory")
    assert await world.listed("d") == []
    world.archive.add("d/new")
    assert await world.listed("d") == []
    await world.names.refresh("d")
    assert await world.listed("d") == ["new"]
    world.archive.add("d/new", token='"2"', size=5)
    assert (await world.names.info("d/new")).size == 1
    await world.names.refresh("d/new")
    assert (await world.names.info("d/new")).size == 5


NAMES = st.text(
    st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=20
).filter(lambda name: name not in {".", ".."} and not name.startswith(".alc-upload-"))  # fmt: skip


@given(st.sets(NAMES, max_size=30), st.floats(0, 4e9))
@settings(deadline=None, max_examples=50)
def test_n8_every_legal_name_comes_back_byte_for_byte_and_in_order(names, mtime):
    rows = NameRows(None, 1000)
    tree = rows.tree("one")
    listing = rows.begin(tree, "")
    given_ = [Entry(name, "file", 2**40, mtime, f'"{name}"') for name in names]
    rows.page(tree, "", listing, given_, {}, 9.0)
    rows.end(tree, "", listing, 9.0)
    assert rows.after(tree, "", "", 1000) == sorted(given_, key=lambda one: one.name)
    for one in given_:
        assert rows.look(tree, one.name).entry == one
    rows.close()


async def test_n8_what_no_folder_can_hold_is_left_out(world):
    odd = ["..", ".", "", "a/b", "/etc/passwd", "nul\0", "x" * 256, "\u00e4" * 128, "no-text-\udcff", ".alc-upload-1"]
    good = ["x" * 255, "\u00e4" * 127, "A", "a", "\u00e9", "e\u0301", "per%2Fcent", "line\nend", " ", "*?"]
    for number, name in enumerate([*odd, *good]):
        world.archive.tree[f"{number}"] = Entry(name, "file", 1, 0.0, '"1"')
    assert await world.listed() == sorted(good)
    for name in good:
        assert (await world.names.info(name)).name == name


def test_n12_the_folders_used_longest_ago_make_room():
    rows = NameRows(None, 100)
    tree = rows.tree("one")
    for folder in ("old", "new", "newest"):
        listing = rows.begin(tree, folder)
        rows.page(tree, folder, listing, [Entry(f"{n}", "file", 1, 0.0, '"1"') for n in range(45)], {}, 9.0)
        rows.end(tree, folder, listing, 9.0)
    assert [rows.folder(tree, one)[0] for one in ("old", "new", "newest")] == [False, True, True]
    rows.close()


PATHS = st.sampled_from(["a", "b", "d", "d/a", "d/b", "d/e", "d/e/a"])
FOLDERS = st.sampled_from(["", "d", "d/e"])


class NamesMachine(RuleBasedStateMachine):
    """An archive that changes of itself and by us, against a dict: after their time names are as they are there."""

    def __init__(self):
        super().__init__()
        self.place = Path(tempfile.mkdtemp(prefix="alc-names-"))
        self.loop = asyncio.new_event_loop()
        self.world = World(self.place / "names", published=False)
        self.token = 0
        self.seen: dict[str, tuple[int, str, str]] = {}

    def do(self, call):
        return self.loop.run_until_complete(asyncio.wait_for(call, 30))

    def act(self, change):
        async def acted():
            change(self.world.names)

        self.do(acted())

    def _folder(self, path):
        above = path.rpartition("/")[0]
        return not above or (above in self.world.archive.tree and self.world.archive.tree[above].is_folder)

    @rule(path=PATHS)
    def theirs(self, path):
        """Somebody writes."""
        if self._folder(path) and not (path in self.world.archive.tree and self.world.archive.tree[path].is_folder):
            self.token += 1
            self.world.archive.add(path, token=f'"{self.token}"', size=self.token)

    @rule(path=st.sampled_from(["d", "d/e"]))
    def their_folder(self, path):
        if self._folder(path) and path not in self.world.archive.tree:
            self.world.archive.add(path, kind="directory", token='"folder"', size=0)

    @rule(path=PATHS)
    def they_remove(self, path):
        tree = self.world.archive.tree
        for one in [one for one in tree if one == path or one.startswith(f"{path}/")]:
            del tree[one]

    @rule(path=PATHS)
    def ours(self, path):
        """We write: it shows at once."""
        if self._folder(path) and not (path in self.world.archive.tree and self.world.archive.tree[path].is_folder):
            self.token += 1
            self.world.archive.add(path, token=f'"{self.token}"', size=self.token)
            self.act(lambda names: names.put(path, self.world.archive.tree[path]))
            assert self.do(self.world.names.info(path)).size == self.token

    @rule(path=PATHS)
    def we_remove(self, path):
        self.they_remove(path)
        self.act(lambda names: names.put(path, None))
        with pytest.raises(FileNotThere):
            self.do(self.world.names.info(path))

    @rule(old=PATHS, new=PATHS)
    def we_rename(self, old, new):
        tree = self.world.archive.tree
        if old in tree and new not in tree and self._folder(new) and not new.startswith(f"{old}/"):
            for one in [one for one in tree if one == old or one.startswith(f"{old}/")]:
                entry = tree.pop(one)
                moved = new + one[len(old) :]
                tree[moved] = Entry(moved.rpartition("/")[2], entry.kind, entry.size, entry.mtime, entry.token)
            self.act(lambda names: names.moved(old, new))
            assert self.do(self.world.names.info(new)) == tree[new]

    @rule()
    def time_goes(self):
        self.world.clock.seconds += 6

    @rule()
    def restart(self):
        self.do(self.world.again())
        self.seen.clear()

    @rule(path=FOLDERS)
    def look_while_away(self, path):
        """Nothing is invented: an answer is one that was given before."""
        self.world.archive.away = True
        try:
            self.do(self.world.names.listing(path))
        except (ArchiveUnreachable, FileNotThere, NotFolder):
            pass
        finally:
            self.world.archive.away = False
            self.world.clock.seconds += 3

    @rule(path=FOLDERS)
    def list_now(self, path):
        self.world.clock.seconds += 6
        tree = self.world.archive.tree
        expected = sorted(one.rpartition("/")[2] for one in tree if one.rpartition("/")[0] == path)
        if path and path not in tree:
            with pytest.raises(FileNotThere):
                self.do(self.world.names.listing(path))
            return
        if path and not tree[path].is_folder:
            with pytest.raises(NotFolder):
                self.do(self.world.names.listing(path))
            return
        found = self.do(self.world.names.listing(path))
        assert [one.name for one in found] == expected
        within = f"{path}/" if path else ""
        for one in found:
            assert one == tree[within + one.name]
            self.same_number(within + one.name, one)

    @rule(path=PATHS)
    def look_now(self, path):
        self.world.clock.seconds += 6
        if path in self.world.archive.tree:
            found = self.do(self.world.names.info(path))
            assert found == self.world.archive.tree[path]
            self.same_number(path, found)
        else:
            with pytest.raises(FileNotThere):
                self.do(self.world.names.info(path))

    def same_number(self, path, entry):
        """N13: a number is of one version only."""
        number, version = entry.number, (entry.name, entry.kind, entry.token if entry.kind == "file" else "")
        assert number
        assert self.seen.setdefault(number, version)[1:] == version[1:]
        row = self.do(self.world.store.ask(lambda rows: rows.named(number)))
        assert (row.path, row.entry) == (path, entry)

    @invariant()
    def what_is_told_at_once_is_told_by_both(self):
        """A listing and a look at each of its names agree."""
        for one in self.do(self.world.names.listing("")):
            assert self.do(self.world.names.info(one.name)) == one

    def teardown(self):
        self.do(self.world.close())
        self.loop.close()
        shutil.rmtree(self.place)


TestNamesMachine = NamesMachine.TestCase
TestNamesMachine.settings = settings(
    max_examples=60, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck), database=None
)
