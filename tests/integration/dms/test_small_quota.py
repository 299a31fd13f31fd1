"""A walk over a tree larger than the cache may hold: rule R6 of docs/semantics/dms.md."""

from __future__ import annotations

import asyncio
import os
import random
import re

import pytest

from jupyter_alc.core.dataset import Access, MountedDataset
from jupyter_alc.dms.engine.blocks import LAYOUT
from jupyter_alc.dms.engine.cache import Cache
from jupyter_alc.dms.engine.engine import Tuning
from jupyter_alc.dms.engine.index import Index
from jupyter_alc.testing.engines import cache_on_disk, get, running_engine
from stalls import Stalls

pytestmark = pytest.mark.integration

MIB = 1024 * 1024
FILES, WORD = 2_000, b"neutron"


async def walk(engine, folder, found):
    """`grep -r`: list, open one after the other, read to the end."""
    for entry in await engine.ls(folder):
        path = f"{folder}/{entry.name}"
        if entry.is_folder:
            await walk(engine, path, found)
        elif re.search(WORD, await get(engine, path)):
            found.add(path)


async def test_r6_a_search_through_a_tree_larger_than_the_quota_ends_right_and_within_it(tmp_path):
    chance, expected = random.Random(4), set()
    for number in range(FILES):
        folder = tmp_path / "archive" / f"run{number % 20}"
        folder.mkdir(parents=True, exist_ok=True)
        text = chance.randbytes(chance.choice([100, 5_000, 30_000] + [300_000] * (number % 50 == 0)))
        if number % 97 == 0:
            text += WORD
            expected.add(f"ds/{folder.name}/f{number}")
        (folder / f"f{number}").write_bytes(text)
        os.utime(folder / f"f{number}", (1e9, 1e9))
    volume, most, over = tmp_path / "volume", 0, []
    dataset = MountedDataset("ds", "Data", "local", str(tmp_path / "archive"), Access.READ, published=True)
    tuning = Tuning(quota_bytes=8 * MIB, keep_free_bytes=0)
    async with running_engine(volume, [dataset], tuning=tuning) as engine:
        found = set()
        walking = asyncio.create_task(walk(engine, "ds", found))
        while not walking.done():
            await asyncio.wait([walking], timeout=0.25)
            most = max(most, engine._cache.used_bytes)
            over += [seen] if (seen := cache_on_disk(volume)) > 8 * MIB else []
        await walking
        assert found == expected
        assert most <= 8 * MIB
        assert engine._cache.counts().evictions > 0
    assert cache_on_disk(volume) <= 8 * MIB
    assert not over


def test_a_cache_of_100_000_versions_starts_within_a_second_or_so(tmp_path):
    top = tmp_path / f"cache/v{LAYOUT}"
    top.mkdir(parents=True)
    index = Index(top)
    rows = ((f"{number:064x}", "ds", f"run{number}", '"token"', number, 69_632) for number in range(100_000))
    with index._connection as connection:
        connection.executemany("INSERT INTO versions VALUES (?, ?, ?, ?, ?, ?)", rows)
    index.close()
    with Stalls() as stalls:
        began = stalls.mark()
        cache = Cache(tmp_path / "cache", 10**12, keep_free_bytes=0)
        seconds = stalls.since(began)
    assert cache.used_bytes == 100_000 * 69_632
    cache.stop()
    print(f"{seconds:.2f} s")
    assert seconds < 3
