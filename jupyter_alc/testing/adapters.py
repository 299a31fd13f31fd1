"""The contract of an adapter. Inherit, supply two fixtures, and your adapter is tested.

    class TestMine(AdapterContract):
        @pytest.fixture
        def put(self) -> Put: ...            # plants bytes in the archive behind the adapter's back

        @pytest.fixture
        async def adapter(self, put) -> AsyncIterator[Adapter]: ...

What the adapter does not claim (`Uploads`, `Pages`, …) is skipped with that reason. For one that speaks HTTP there is
`jupyter_alc.testing.faulty_adapters` as well.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import itertools
import os
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path  # noqa: TC003  (pytest looks at the annotations)

import pytest

from jupyter_alc.core.errors import Denied, Exists, FileNotThere, NotEmpty, NotFolder, VersionChanged
from jupyter_alc.dms.adapters.interface import (
    HIDDEN,
    Adapter,
    AnsweredBadly,
    Approaches,
    Checksums,
    Fills,
    Folders,
    OneStep,
    Pages,
    Renewable,
    Streams,
    Uploads,
)
from jupyter_alc.dms.engine.planner import BLOCK
from jupyter_alc.dms.tokens import bare

Put = Callable[[str, bytes], None]


ODD_NAMES = (
    ("a%2Fb", "%", "%zz", "100%25", "a+b", "a b", " ", " a", "a ", "~", "...", ".a", "a.", "-", "-rf", "[1]", "{a}"),
    ("*?;#&=", "'\"<>", "\\", "a:b", "|", "`", "$HOME", "^", "(a)", "@", ",", "!", "a=b&c=d", "?x=1", "#top", "&amp;"),
    ("é", "e\u0301", "E", "e", "ß", "SS", "ǆ", "…", "🐟", "א", "\u202eabc", "\u00a0", "ﬁ", "fi"),
    ("n" * 255, "é" * 127, "🐟" * 63),
    ("a\tb", "a\nb", "\r", "\x01", "\x1b[31m", "\x7f"),
)
"""Names that archives hold and few think of; in groups, since they share a folder."""


def _uploads(adapter: Adapter) -> Uploads:
    if not isinstance(adapter, Uploads):
        pytest.skip("this adapter takes no files")
    return adapter


def _one_step(adapter: Adapter) -> OneStep:
    if not isinstance(adapter, OneStep):
        pytest.skip("this adapter compares and replaces in two steps")
    return adapter


def _folders(adapter: Adapter) -> Folders:
    if not isinstance(adapter, Folders):
        pytest.skip("this adapter changes no names")
    return adapter


async def _publish(adapter: Adapter, path: str, source: Path, *, base: str | None, number: str = "1") -> str:
    uploads = _uploads(adapter)
    await uploads.upload(path, source, number, lambda _size: None)
    return (await uploads.publish(path, number, base=base)).token


class AdapterContract:
    """Each test is one promise of `jupyter_alc.dms.adapters.interface`."""

    async def test_reads_the_middle_of_a_file(self, adapter: Adapter, put: Put) -> None:
        """A range that starts after 0 and ends before the end comes back exact."""
        put("run/42.nxs", b"abcdefgh")
        token = (await adapter.info("run/42.nxs")).token
        assert await adapter.read_range("run/42.nxs", 2, 5, token) == b"cde"
        assert await adapter.read_range("run/42.nxs", 0, 8, token) == b"abcdefgh"
        assert await adapter.read_range("run/42.nxs", 7, 8, token) == b"h"

    async def test_info_tells_kind_size_and_time(self, adapter: Adapter, put: Put) -> None:
        """A file has its size; a folder is one."""
        put("run/42.nxs", b"abcdefgh")
        seen = await adapter.info("run/42.nxs")
        assert (seen.name, seen.kind, seen.size) == ("42.nxs", "file", 8)
        assert seen.token
        assert (await adapter.info("run")).is_folder

    async def test_a_listing_has_every_attribute(self, adapter: Adapter, put: Put) -> None:
        """Names, kinds, sizes and tokens as `info` tells them."""
        put("run/a.txt", b"a")
        put("run/b.txt", b"bb")
        put("run/deeper/c.txt", b"ccc")
        told = {one.name: one for one in await adapter.listing("run")}
        assert sorted(told) == ["a.txt", "b.txt", "deeper"]
        assert (told["a.txt"].size, told["b.txt"].size, told["deeper"].kind) == (1, 2, "directory")
        assert "run" in [one.name for one in await adapter.listing("")]

    async def test_says_that_a_name_is_not_there(self, adapter: Adapter, put: Put) -> None:
        """An absence is `FileNotThere`, for attributes, listings and reads alike."""
        put("there.txt", b"x")
        with pytest.raises(FileNotThere):
            await adapter.info("absent.txt")
        with pytest.raises(FileNotThere):
            await adapter.listing("absent")

    async def test_a_new_version_has_a_new_token(self, adapter: Adapter, put: Put) -> None:
        """Other bytes of another size are another version."""
        put("file", b"one")
        first = (await adapter.info("file")).token
        put("file", b"three")
        assert (await adapter.info("file")).token != first

    async def test_never_reads_from_another_version(self, adapter: Adapter, put: Put) -> None:
        """A read of a version that is no more is `VersionChanged`."""
        put("file", b"one")
        token = (await adapter.info("file")).token
        put("file", b"three")
        with pytest.raises(VersionChanged):
            await adapter.read_range("file", 0, 3, token)

    async def test_what_was_listed_is_looked_at_anew(self, adapter: Adapter, put: Put) -> None:
        """No listing of before answers for what is there now: not for a version, not for an absence."""
        put("run/file", b"one")
        [old] = await adapter.listing("run")
        put("run/file", b"three")
        put("run/new", b"new")
        seen = await adapter.info("run/file")
        assert (seen.size, (await adapter.info("run/new")).size) == (5, 3)
        assert seen.token != old.token
        assert sorted((one.name, one.size) for one in await adapter.listing("run")) == [("file", 5), ("new", 3)]
        with pytest.raises(VersionChanged):
            await adapter.read_range("run/file", 0, 3, old.token)

    async def test_a_file_is_never_an_empty_folder(self, adapter: Adapter, put: Put) -> None:
        """Asking for its listing is an error, whichever."""
        put("run/file", b"x")
        with pytest.raises((NotFolder, FileNotThere, AnsweredBadly)):
            await adapter.listing("run/file")

    async def test_many_read_at_once(self, adapter: Adapter, put: Put) -> None:
        """Sixteen ranges at the same time, each exact."""
        data = bytes(range(256)) * 64
        put("file", data)
        token = (await adapter.info("file")).token
        reads = [adapter.read_range("file", n * 1000, n * 1000 + 1000, token) for n in range(16)]
        assert b"".join(await asyncio.gather(*reads)) == data[:16_000]

    async def test_names_may_hold_blanks_signs_and_other_letters(self, adapter: Adapter, put: Put) -> None:
        """What people call their files."""
        for name in ("a b.txt", "100%.txt", "größe&co.txt", "a+b=c.txt", "x#1.txt", "[1]'2'.txt"):
            put(f"odd/{name}", name.encode())
        for one in await adapter.listing("odd"):
            assert await adapter.read_range(f"odd/{one.name}", 0, one.size, one.token) == one.name.encode()
        assert len(await adapter.listing("odd")) == 6

    unspeakable = ""
    """Characters that this archive's own protocol or server cannot say in a name."""
    unlisted = ""
    """What names begin with that this archive leaves out of its listings; the adapter's capabilities say so."""

    @pytest.mark.parametrize("number", range(len(ODD_NAMES)))
    async def test_names_are_the_archives_byte_for_byte(self, adapter: Adapter, put: Put, number: int) -> None:
        """Listed, looked at and read as they are: blanks, signs, control characters, 255 bytes, case, normalisation."""
        names = [one for one in ODD_NAMES[number] if not set(one) & set(self.unspeakable)]
        for name in names:
            put(f"odd/{name}", name.encode())
        listed = {one.name: one for one in await adapter.listing("odd")} if names else {}
        assert sorted(listed) == sorted(one for one in names if not self.unlisted or one[0] not in self.unlisted)
        for name in names:
            seen = await adapter.info(f"odd/{name}")
            assert (seen.name, seen.size) == (name, len(name.encode()))
            assert await adapter.read_range(f"odd/{name}", 0, seen.size, seen.token) == name.encode()

    async def test_nothing_outside_the_dataset_is_reached(self, adapter: Adapter, put: Put) -> None:
        """Whatever way a path tries."""
        put("file", b"x")
        for path in ("..", "../file", "a/../../file", "%2e%2e/file", "/etc/passwd"):
            for ask in (adapter.info, adapter.listing):
                with pytest.raises(FileNotThere):
                    await ask(path)

    async def test_an_empty_file_is_one(self, adapter: Adapter, put: Put) -> None:
        """Size 0, a token, nothing to read."""
        put("run/empty", b"")
        seen = await adapter.info("run/empty")
        assert (seen.kind, seen.size) == ("file", 0)
        assert seen.token
        assert not await adapter.read_range("run/empty", 0, 0, seen.token)
        assert [(one.name, one.size) for one in await adapter.listing("run")] == [("empty", 0)]

    async def test_pages_tell_what_the_listing_tells(self, adapter: Adapter, put: Put) -> None:
        """Each name once, with the same attributes; an absence comes before the first page."""
        if not isinstance(adapter, Pages):
            pytest.skip("this adapter does not claim Pages")
        for number in range(25):
            put(f"run/f{number:02}", bytes(number))
        put("run/deeper/file", b"x")
        told = [one async for page in adapter.listing_pages("run") for one in page]
        by_name = {one.name: (one.kind, one.size, bare(one.token)) for one in told}
        assert len(by_name) == len(told) == 26
        assert by_name == {one.name: (one.kind, one.size, bare(one.token)) for one in await adapter.listing("run")}
        with pytest.raises(FileNotThere):
            await anext(aiter(adapter.listing_pages("absent")))

    async def test_a_stream_is_the_file_from_its_start_on_in_one_version(self, adapter: Adapter, put: Put) -> None:
        """Exact from wherever it begins; of a version that is no more it brings `VersionChanged` and no byte."""
        if not isinstance(adapter, Streams):
            pytest.skip("this adapter does not claim Streams")
        data = os.urandom(300_001)
        put("file", data)
        token = (await adapter.info("file")).token
        for start in (0, 1, BLOCK, 300_000):
            assert b"".join([piece async for piece in adapter.open_stream("file", start, token)]) == data[start:]
        put("file", b"another version")
        with pytest.raises(VersionChanged):
            await anext(aiter(adapter.open_stream("file", 0, token)))

    async def test_what_fills_is_what_is_read(self, adapter: Adapter, put: Put) -> None:
        """In order, in whole blocks from the start on but for the last; of a version that is no more, nothing."""
        if not isinstance(adapter, Fills):
            pytest.skip("this adapter does not claim Fills")
        data, got = os.urandom(700_001), list[tuple[int, bytes]]()
        put("file", data)
        token = (await adapter.info("file")).token
        for start, stop in ((0, 700_001), (BLOCK, 3 * BLOCK), (7, 8), (BLOCK + 1, 700_000)):
            got.clear()
            await adapter.fill("file", start, stop, token, lambda at, piece: got.append((at, bytes(piece))))
            assert b"".join(piece for _, piece in got) == data[start:stop]
            assert [at for at, _ in got] == list(itertools.accumulate((len(one) for _, one in got[:-1]), initial=start))
            assert all(len(piece) % BLOCK == 0 for _, piece in got[:-1])
        put("file", b"another version")
        got.clear()
        with pytest.raises(VersionChanged):
            await adapter.fill("file", 0, 5, token, lambda at, piece: got.append((at, bytes(piece))))
        assert not got

    async def test_a_checksum_is_that_of_the_bytes_or_none(self, adapter: Adapter, put: Put) -> None:
        """Of a version that is no more there is none either."""
        if not isinstance(adapter, Checksums):
            pytest.skip("this adapter does not claim Checksums")
        put("file", b"some bytes")
        token = (await adapter.info("file")).token
        algorithm, _, told = (await adapter.checksum("file", token)).partition(":")
        if told and algorithm in hashlib.algorithms_available:
            assert told == hashlib.new(algorithm, b"some bytes").hexdigest()
        if algorithm == "crc32":
            assert int(told, 16) == zlib.crc32(b"some bytes")
        put("file", b"another version")
        with contextlib.suppress(VersionChanged):
            assert not await adapter.checksum("file", token)

    async def test_an_approach_changes_nothing(self, adapter: Adapter, put: Put) -> None:
        """However often, and whatever is asked meanwhile."""
        if not isinstance(adapter, Approaches):
            pytest.skip("this adapter does not claim Approaches")
        put("run/file", b"abcdef")
        told = await asyncio.gather(adapter.approach(), adapter.info("run/file"), adapter.approach())
        assert await adapter.read_range("run/file", 1, 4, told[1].token) == b"bcd"
        await adapter.approach()
        assert [one.name for one in await adapter.listing("run")] == ["file"]

    @pytest.fixture
    def credentials(self) -> tuple[Mapping[str, str], Mapping[str, str]]:
        """Those that the archive accepts, and others that it refuses; supply it for a `Renewable` adapter."""
        pytest.skip("this adapter's credentials are not renewed, or its archive does not ask who is there")

    async def test_other_credentials_are_asked_with_from_now_on(
        self, adapter: Adapter, put: Put, credentials: tuple[Mapping[str, str], Mapping[str, str]]
    ) -> None:
        """For attributes, listings and reads alike; wrong ones are `Denied`, and right ones make all well again."""
        assert isinstance(adapter, Renewable)
        right, wrong = credentials
        put("run/file", b"abcdef")
        token = (await adapter.info("run/file")).token
        adapter.renew(wrong)
        for ask in (adapter.info("run/file"), adapter.listing("run"), adapter.read_range("run/file", 1, 4, token)):
            with pytest.raises(Denied):
                await ask
        adapter.renew(right)
        assert (await adapter.info("run/file")).token == token
        assert [one.name for one in await adapter.listing("run")] == ["file"]
        assert await adapter.read_range("run/file", 1, 4, token) == b"bcd"

    async def test_an_upload_is_not_seen_before_it_is_published(
        self, adapter: Adapter, put: Put, tmp_path: Path
    ) -> None:
        """The listing has neither the file nor the hidden name; then it has the file, whole."""
        put("run/first.txt", b"1")
        (tmp_path / "source").write_bytes(b"new bytes")
        uploads, counted = _uploads(adapter), list[int]()
        hidden = await uploads.upload("run/new.txt", tmp_path / "source", "1", counted.append)
        assert hidden.rpartition("/")[2].startswith(HIDDEN)
        assert [one.name for one in await adapter.listing("run")] == ["first.txt"]
        assert (await adapter.info(hidden)).size == counted[-1] == 9
        entry = await uploads.publish("run/new.txt", "1", base=None)
        assert (entry.name, entry.size) == ("new.txt", 9)
        assert await adapter.read_range("run/new.txt", 0, 9, entry.token) == b"new bytes"

    async def test_a_new_name_that_is_taken_is_not_overwritten(
        self, adapter: Adapter, put: Put, tmp_path: Path
    ) -> None:
        """`base` None and a file there is `VersionChanged`, and theirs stays."""
        _uploads(adapter)
        put("file", b"theirs")
        (tmp_path / "source").write_bytes(b"ours")
        with pytest.raises(VersionChanged):
            await _publish(adapter, "file", tmp_path / "source", base=None)
        seen = await adapter.info("file")
        assert await adapter.read_range("file", 0, seen.size, seen.token) == b"theirs"

    async def test_only_the_version_it_is_based_on_is_replaced(
        self, adapter: Adapter, put: Put, tmp_path: Path
    ) -> None:
        """The right `base` replaces, an old one is `VersionChanged`."""
        _uploads(adapter)
        put("file", b"one")
        (tmp_path / "source").write_bytes(b"ours, longer")
        old = (await adapter.info("file")).token
        new = await _publish(adapter, "file", tmp_path / "source", base=old)
        assert (await adapter.info("file")).size == 12
        (tmp_path / "source").write_bytes(b"too late")
        with pytest.raises(VersionChanged):
            await _publish(adapter, "file", tmp_path / "source", base=old, number="2")
        assert (await adapter.info("file")).size == 12
        assert new != old

    async def test_an_upload_can_be_tried_again_and_discarded(self, adapter: Adapter, put: Put, tmp_path: Path) -> None:
        """The same id replaces an earlier try; discarding what is not there is fine."""
        uploads = _uploads(adapter)
        put("run/first.txt", b"1")
        for text in (b"half", b"the whole"):
            (tmp_path / "source").write_bytes(text)
            hidden = await uploads.upload("run/new.txt", tmp_path / "source", "1", lambda _size: None)
        assert (await adapter.info(hidden)).size == 9
        await uploads.discard("run/new.txt", "1")
        await uploads.discard("run/new.txt", "1")
        with pytest.raises(FileNotThere):
            await adapter.info(hidden)

    async def test_an_upload_into_a_folder_that_is_not_there_says_so(self, adapter: Adapter, tmp_path: Path) -> None:
        """`FileNotThere`, so that the save-back can make the folder."""
        (tmp_path / "source").write_bytes(b"x")
        with pytest.raises(FileNotThere):
            await _uploads(adapter).upload("absent/new.txt", tmp_path / "source", "1", lambda _size: None)

    async def test_one_step_replaces_only_the_version_it_is_based_on(
        self, adapter: Adapter, put: Put, tmp_path: Path
    ) -> None:
        """A new name, the right `base`, an old one, a name that is taken, one that was removed meanwhile."""
        archive, source = _one_step(adapter), tmp_path / "source"
        put("run/other", b"x")
        if not await archive.takes_in_one_step(9):
            pytest.skip("this archive compares and replaces in two steps")

        async def told(data: bytes, base: str | None, path: str = "run/file") -> str:
            source.write_bytes(data)
            counted: list[int] = []
            entry = await archive.put(path, source, base=base, sent=counted.append)
            assert (entry.name, entry.size, counted[-1]) == ("file", len(data), len(data))
            assert await adapter.read_range(path, 0, len(data), entry.token) == data
            return entry.token

        first = await told(b"the first", None)
        second = await told(b"another one", first)
        for base in (None, first):
            with pytest.raises(VersionChanged):
                await told(b"too late", base)
        assert (await adapter.info("run/file")).token == second
        await told(b"made anew", second, path="walk/file")
        await told(b"", None, path="empty/file")
        source.write_bytes(b"a file for a folder")
        with pytest.raises(VersionChanged):
            await archive.put("run", source, base=None, sent=lambda _size: None)
        assert (await adapter.info("run")).is_folder

    async def test_makes_and_removes_folders(self, adapter: Adapter, put: Put) -> None:
        """One at a time, never over what is there, never with something in it."""
        folders = _folders(adapter)
        await folders.mkdir("new")
        with pytest.raises(Exists):
            await folders.mkdir("new")
        with pytest.raises(FileNotThere):
            await folders.mkdir("absent/deeper")
        put("new/file", b"x")
        with pytest.raises(NotEmpty):
            await folders.delete("new", folder=True)
        await folders.delete("new/file", folder=False)
        await folders.delete("new", folder=True)
        with pytest.raises(FileNotThere):
            await adapter.info("new")

    async def test_moves_files_and_folders(self, adapter: Adapter, put: Put) -> None:
        """A move keeps the bytes; over something only if told to."""
        folders = _folders(adapter)
        put("run/a", b"aa")
        put("run/b", b"bbb")
        with pytest.raises(Exists):
            await folders.move("run/a", "run/b", replace=False)
        await folders.move("run/a", "run/b", replace=True)
        await folders.move("run", "walk", replace=False)
        assert [(one.name, one.size) for one in await adapter.listing("walk")] == [("b", 2)]
        with pytest.raises(FileNotThere):
            await folders.delete("run/a", folder=False)
