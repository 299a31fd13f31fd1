"""What survives kill -9: rules W2, W3, W9 and R5 of docs/semantics/dms.md, with real processes and a real archive."""

from __future__ import annotations

import hashlib
import json
import os
import random
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from jupyter_alc.testing.archive_service import ArchiveService
from jupyter_alc.testing.engines import get, running_engine

if TYPE_CHECKING:
    from jupyter_alc.core.dataset import MountedDataset

pytestmark = pytest.mark.integration

WRITER = """
import asyncio, hashlib, json, os, sys
from pathlib import Path
from jupyter_alc.core.dataset import MountedDataset
from jupyter_alc.testing.engines import put, running_engine

async def main(volume, dataset, seed):
    async with running_engine(volume, [dataset]) as engine:
        for number in range(10_000):
            data = hashlib.sha256(f"{seed}-{number}".encode()).digest() * 3000
            await put(engine, f"results/f{number % 7}", data)
            print(number % 7, hashlib.sha256(data).hexdigest(), flush=True)

asyncio.run(main(Path(sys.argv[1]), MountedDataset.from_json(json.loads(sys.argv[2])), sys.argv[3]))
"""


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    service = ArchiveService(tmp_path_factory.mktemp("archive"))
    service.start()
    yield service
    service.stop()


@pytest.fixture
def results(archive, request):
    folder = f"c{abs(hash(request.node.name))}"
    (archive.results("ada") / folder).mkdir()
    return replace(archive.dataset("ada"), url=f"{archive.dataset('ada').url}/{folder}")


def write_until_killed(volume: Path, dataset: MountedDataset, seed: int, seconds: float) -> dict[str, str]:
    """Run a writer, kill it, and answer what it was told is safe: name -> digest."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    command = [sys.executable, "-c", WRITER, str(volume), json.dumps(dataset.as_json()), str(seed)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as writer:
        first = writer.stdout.readline()
        time.sleep(seconds)
        writer.kill()
        lines = [first, *writer.stdout.readlines()]
    return {
        f"f{name}": digest for name, digest in (line.split() for line in lines if line.endswith("\n") and line.strip())
    }


async def test_w2_every_file_closed_before_a_kill_reaches_the_archive_whole(archive, results, tmp_path):
    safe: dict[str, str] = {}
    chance = random.Random(7)
    for seed in range(6):
        safe |= write_until_killed(tmp_path / "volume", results, seed, chance.uniform(0.05, 0.7))
    async with running_engine(tmp_path / "volume", [results]) as engine:
        assert await engine.flush(60) == []
        names = [one.name for one in await engine.ls("results")]
        rewritten = {name.partition(".unfinished-")[0] for name in names if ".unfinished-" in name}
        safe = {name: digest for name, digest in safe.items() if name not in rewritten}
        assert safe
        assert set(safe) <= set(names)
        for name in safe:
            assert len(await get(engine, f"results/{name}")) == 96_000
    behind = archive.results("ada") / results.url.rpartition("/")[2]
    kept = {one.name: hashlib.sha256(one.read_bytes()).hexdigest() for one in behind.iterdir()}
    later = {name for name in safe if kept[name] != safe[name]}
    assert len(later) <= 6, "at each kill one file may be newer than what was told: its close was not yet heard"
    assert not [name for name in kept if name.startswith(".alc-upload-")]
    own = [name for name in kept if ".conflict-" in name and ".unfinished-" not in name]
    assert not own, "our own uploads are no conflicts"
    assert list((tmp_path / "volume" / "staging").glob("*.data")) == []


async def test_w9_a_file_that_was_open_is_not_passed_off_as_whole(archive, results, tmp_path):
    behind = archive.results("ada") / results.url.rpartition("/")[2]
    (behind / "old").write_bytes(b"the old one, whole")
    script = WRITER.replace(
        'await put(engine, f"results/f{number % 7}", data)',
        "pass\n"
        "            handle = await engine.open('results/old', write=True, truncate=True)\n"
        "            await engine.write(handle, 0, b'half of the n')\n"
        "            synced = await engine.open('results/synced', write=True, create=True)\n"
        "            await engine.write(synced, 0, b'synced')\n"
        "            await engine.fsync(synced)\n"
        "            print('now', flush=True)\n"
        "            await asyncio.sleep(60)",
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    command = [sys.executable, "-c", script, str(tmp_path / "volume"), json.dumps(results.as_json()), "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as writer:
        assert writer.stdout.readline() == "now\n"
        writer.kill()
    async with running_engine(tmp_path / "volume", [results]) as engine:
        assert await engine.flush(60) == []
    kept = {one.name.partition(".unfinished-")[0]: one.read_bytes() for one in sorted(behind.iterdir(), reverse=True)}
    assert kept == {"old": b"the old one, whole", "synced": b"synced"}
    assert [one.read_bytes() for one in behind.glob("old.unfinished-*")] == [b"half of the n"]


async def test_w3_an_archive_killed_in_the_middle_of_uploads_ends_with_every_file_whole(tmp_path, tmp_path_factory):
    service = ArchiveService(tmp_path_factory.mktemp("killed"))
    service.start()
    try:
        data = {f"results/big{n}": os.urandom(3_000_000) for n in range(4)}
        async with running_engine(tmp_path / "volume", [service.dataset("ada")]) as engine:
            for path, text in data.items():
                handle = await engine.open(path, write=True, create=True)
                await engine.write(handle, 0, text)
                await engine.close(handle)
            service.process.kill()
            service.stop()
            assert await engine.flush(0.3) != []
            service.start()
            assert await engine.flush(60) == []
        for path, text in data.items():
            assert (service.results("ada") / path.partition("/")[2]).read_bytes() == text
        assert len(list(service.results("ada").iterdir())) == 4
    finally:
        service.stop()
