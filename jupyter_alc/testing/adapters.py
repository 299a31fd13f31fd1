"""The contract of an adapter. Inherit, supply two fixtures, and your adapter is tested.

    class TestMine(AdapterContract):
        @pytest.fixture
        def put(self) -> Put: ...            # plants bytes in the archive behind the adapter's back

        @pytest.fixture
        async def adapter(self, put) -> AsyncIterator[Adapter]: ...

What the adapter does not claim (`Uploads`, `Folders`) is skipped with that reason.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path  # noqa: TC003  (pytest looks at the annotations)

import pytest

from jupyter_alc.core.errors import ArchiveUnreachable, Denied, Exists, FileNotThere, NotEmpty, VersionChanged
from jupyter_alc.dms.adapters.interface import HIDDEN, Adapter, Folders, Streams, Uploads
from jupyter_alc.testing.faults import RIGHT, Fault, FaultyProxy

Put = Callable[[str, bytes], None]


def _uploads(adapter: Adapter) -> Uploads:
    if not isinstance(adapter, Uploads):
        pytest.skip("this adapter takes no files")
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


class FaultyAdapterContract:
    """Faults between an adapter and its archive: never a wrong byte, never "not there", never an empty listing.

    Beside `put`, supply `archive_at` (host and port of the archive) and `adapter_at` (makes the adapter that talks to
    a given `host:port`). ALC_FAULTS says how many, ALC_SEED which.
    """

    async def test_no_fault_gives_a_wrong_answer(
        self, put: Put, archive_at: tuple[str, int], adapter_at: Callable[[str], Adapter]
    ) -> None:
        """A read is right or an error of ours; after what can be right, it must be."""
        seed = int(os.environ.get("ALC_SEED", "1"))
        chance = random.Random(seed)
        files = {"big": chance.randbytes(200_003), "small": chance.randbytes(999), "empty": b""}
        for name, data in files.items():
            put(f"run/{name}", data)
        put("run/old", b"an old version")
        with FaultyProxy(*archive_at) as proxy:
            adapter = adapter_at(proxy.address)
            asking = _Asking(adapter, files, {one.name: one.token for one in await adapter.listing("run")}, chance)
            put("run/old", b"something newer and longer")
            try:
                for number in range(int(os.environ.get("ALC_FAULTS", "250"))):
                    fault = chance.choice(list(Fault))
                    proxy.faults = iter([fault])
                    what = await asking.one(must=fault in RIGHT)
                    assert what == "", f"seed {seed}, fault {number} ({fault.name}): {what}"
                proxy.faults = iter(())
                for _ in range(12):
                    assert await asking.one(must=True) == ""  # and all is well again
            finally:
                await adapter.close()

    async def test_an_archive_that_is_away_is_unreachable_and_back_when_it_is_back(
        self, put: Put, archive_at: tuple[str, int], adapter_at: Callable[[str], Adapter]
    ) -> None:
        """For attributes, listings and reads alike."""
        put("run/file", b"abcdef")
        with FaultyProxy(*archive_at) as proxy:
            adapter = adapter_at(proxy.address)
            token = (await adapter.info("run/file")).token
            proxy.faults = itertools.repeat(Fault.REFUSED)
            for ask in (adapter.info("run/file"), adapter.listing("run"), adapter.read_range("run/file", 0, 6, token)):
                with pytest.raises(ArchiveUnreachable):
                    await ask
            proxy.faults = iter(())
            assert await adapter.read_range("run/file", 1, 4, token) == b"bcd"
            await adapter.close()


@dataclass
class _Asking:
    """Ask one thing and judge the answer; "" is well."""

    adapter: Adapter
    files: dict[str, bytes]
    tokens: dict[str, str]
    chance: random.Random

    async def one(self, *, must: bool) -> str:
        ask = self.chance.choice([self._read, self._read, self._stream, self._info, self._listing, self._old])
        try:
            return await ask()
        except FileNotThere as error:
            return f"{ask.__name__} said {error}"
        except (ArchiveUnreachable, Denied, VersionChanged) as error:
            return f"{ask.__name__} failed with {error!r}" if must and ask != self._old else ""

    async def _read(self) -> str:
        name = self.chance.choice(["big", "small"])
        data = self.files[name]
        start, stop = sorted(self.chance.sample(range(len(data) + 1), 2))
        got = await self.adapter.read_range(f"run/{name}", start, stop, self.tokens[name])
        return "" if got == data[start:stop] else f"wrong bytes of {name} {start}..{stop}"

    async def _stream(self) -> str:
        if not isinstance(self.adapter, Streams):
            return await self._read()
        data, got = self.files["big"], bytearray()
        start = self.chance.randrange(len(data))
        try:
            async for piece in self.adapter.open_stream("run/big", start, self.tokens["big"]):
                got += piece
        finally:
            right = data[start : start + len(got)] == got
            assert right, f"wrong bytes in a stream from {start}"
        return "" if len(got) == len(data) - start else "a stream that ended early and said nothing"

    async def _info(self) -> str:
        name = self.chance.choice(list(self.files))
        seen = await self.adapter.info(f"run/{name}")
        return "" if (seen.kind, seen.size) == ("file", len(self.files[name])) else f"told {seen} of {name}"

    async def _listing(self) -> str:
        told = {one.name: one.size for one in await self.adapter.listing("run") if one.name != "old"}
        return "" if told == {name: len(data) for name, data in self.files.items()} else f"listed {told}"

    async def _old(self) -> str:
        got = await self.adapter.read_range("run/old", 0, 14, self.tokens["old"])
        return f"read {got!r} of an old version"
