"""Datasets by fsspec through the engine: an archive file that is away, comes, and is replaced; HTTP by its name."""

import asyncio
import contextlib
import os
import zipfile
from pathlib import Path

import pytest

from jupyter_alc.core.dataset import Access, MountedDataset
from jupyter_alc.core.errors import ArchiveUnreachable, ReadOnly, VersionChanged
from jupyter_alc.testing.engines import get, put, running_engine
from labs.nginx import Nginx

pytestmark = pytest.mark.integration


def a_zip(at, **held):
    with zipfile.ZipFile(f"{at}.new", "w") as made:
        for name, data in held.items():
            made.writestr(zipfile.ZipInfo(f"run/{name}"), data)
    Path(f"{at}.new").replace(at)


@pytest.fixture
def runs(tmp_path):
    """The dataset `runs`, in a ZIP file that is not there yet."""
    return MountedDataset("runs", "Runs", "fsspec", f"zip::file://{tmp_path}/runs.zip", Access.READ)


async def when_back(engine, path):
    """Read it as soon as its archive is asked again."""
    async with asyncio.timeout(30):
        while True:
            with contextlib.suppress(ArchiveUnreachable):
                return await get(engine, path)
            await asyncio.sleep(0.05)


async def test_a_service_starts_without_an_archive_file_that_is_away_and_reads_it_when_it_is_there(
    tmp_path, runs, dataset, behind
):
    (behind / "file").write_bytes(b"of another archive")
    async with running_engine(tmp_path / "volume", [runs, dataset]) as engine:
        assert await get(engine, "ds/file") == b"of another archive"
        with pytest.raises(ArchiveUnreachable):
            await engine.info("runs/run/a")
        a_zip(tmp_path / "runs.zip", a=b"abcdef")
        assert await when_back(engine, "runs/run/a") == b"abcdef"
        with pytest.raises(ReadOnly):
            await put(engine, "runs/run/b", b"x")


async def test_a_replaced_archive_file_is_read_as_it_is_now_and_never_mixed_with_the_old_one(tmp_path, runs):
    old, new = os.urandom(4 << 20), os.urandom(4 << 20)
    a_zip(tmp_path / "runs.zip", a=old)
    async with running_engine(tmp_path / "volume", [runs]) as engine:
        handle = await engine.open("runs/run/a")
        assert await engine.read(handle, 0, 1000) == old[:1000]
        a_zip(tmp_path / "runs.zip", a=new, b=b"more")
        await engine.refresh("runs/run")
        with contextlib.suppress(VersionChanged):  # R4: unless it had come before
            assert await engine.read(handle, 3 << 20, 4 << 20) == old[3 << 20 :]
        await engine.close(handle)
        assert await get(engine, "runs/run/a") == new
        assert await get(engine, "runs/run/b") == b"more"


@pytest.mark.nginx
async def test_what_fsspec_calls_http_is_listed_looked_at_and_read_as_http_is(tmp_path):
    """fsspec's own file system finds nginx's folders empty and reads `a` in place of `a#1`."""
    odd = {"a": b"one", "a#1": b"another", "a?x=1": b"third", "a%20b": b"4", "größe +": b"5", "empty": b""}
    with Nginx(tmp_path / "lab") as lab:
        for name, data in odd.items():
            lab.put(f"run/deep/{name}", data)
        web = MountedDataset("web", "Web", "fsspec", lab.state["http"], Access.READ)
        async with running_engine(tmp_path / "volume", [web]) as engine:
            assert {one.name: one.size for one in await engine.ls("web/run/deep")} == {
                name: len(data) for name, data in odd.items()
            }
            for name, data in odd.items():
                assert await get(engine, f"web/run/deep/{name}") == data
            assert (await engine.info("web/run")).is_folder
            lab.down()
            with pytest.raises(ArchiveUnreachable):
                await engine.info("web/another")
