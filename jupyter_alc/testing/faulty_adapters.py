"""The contract of an adapter that speaks HTTP, when requests go wrong; beside `jupyter_alc.testing.adapters`."""

from __future__ import annotations

import asyncio
import itertools
import os
import random
from collections.abc import Callable, Mapping  # noqa: TC003  (pytest looks at the annotations)
from dataclasses import dataclass

import pytest

from jupyter_alc.core.errors import ArchiveUnreachable, Denied, FileNotThere, VersionChanged
from jupyter_alc.dms.adapters.interface import Adapter, Approaches, Renewable, Streams
from jupyter_alc.testing.adapters import Put  # noqa: TC001
from jupyter_alc.testing.faults import HANGS, RIGHT, Fault, FaultyProxy


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
        known = [one for one in Fault if one not in HANGS]  # the caller sets deadlines, not the adapter
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
                    fault = chance.choice(known)
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

    async def test_an_approach_is_a_connection_that_the_next_read_finds(
        self, put: Put, archive_at: tuple[str, int], adapter_at: Callable[[str], Adapter]
    ) -> None:
        """Nothing is asked by it, and that nobody is there is of no interest."""
        put("run/file", b"abcdef")
        with FaultyProxy(*archive_at) as proxy:
            before, adapter = adapter_at(proxy.address), adapter_at(proxy.address)
            try:
                if not isinstance(adapter, Approaches):
                    pytest.skip("this adapter does not claim Approaches")
                token, counted = (await before.info("run/file")).token, proxy.counted
                connections, requests = counted.connections, counted.requests
                for _ in range(2):
                    await adapter.approach()
                await _until("connections", connections + 1, proxy)
                assert (counted.connections - connections, counted.requests - requests) == (1, 0)
                assert await adapter.read_range("run/file", 1, 4, token) == b"bcd"
                assert (counted.connections - connections, counted.requests - requests) == (1, 1)
            finally:
                for one in (before, adapter):
                    await one.close()
            alone = adapter_at(proxy.address)
        assert isinstance(alone, Approaches)
        await alone.approach()
        await alone.close()

    async def test_what_was_refused_with_the_old_credentials_is_asked_once_more_with_the_new_ones(
        self,
        put: Put,
        archive_at: tuple[str, int],
        adapter_at: Callable[[str], Adapter],
        credentials: tuple[Mapping[str, str], Mapping[str, str]],
    ) -> None:
        """They are renewed while questions are on their way (W19)."""
        right, wrong = credentials
        put("run/file", b"abcdef")
        with FaultyProxy(*archive_at, round_trip_seconds=0.3) as proxy:
            adapter = adapter_at(proxy.address)
            assert isinstance(adapter, Renewable)
            token = (await adapter.info("run/file")).token
            for ask in (adapter.info("run/file"), adapter.listing("run"), adapter.read_range("run/file", 1, 4, token)):
                adapter.renew(wrong)
                requests, told = proxy.counted.requests, asyncio.ensure_future(ask)
                await _until("requests", requests + 1, proxy)
                adapter.renew(right)
                assert await told
                assert proxy.counted.requests - requests == 2
            await adapter.close()


async def _until(counted: str, number: int, proxy: FaultyProxy) -> None:
    """Wait for what the proxy counts, on a thread of its own."""
    async with asyncio.timeout(10):
        while getattr(proxy.counted, counted) < number:  # noqa: ASYNC110  (it is no task of this loop)
            await asyncio.sleep(0.01)


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
