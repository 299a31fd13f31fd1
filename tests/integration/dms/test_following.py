"""A catalogue that changes while it is in use, in process and in the Hub (T13)."""

from __future__ import annotations

import asyncio
import os
import time

import pytest

from jupyter_alc.core.dataset import Pattern
from jupyter_alc.core.errors import FileNotThere, Unavailable
from jupyter_alc.dms import following
from jupyter_alc.dms.catalogue_file import CatalogueFile
from jupyter_alc.dms.inprocess import _start

pytestmark = pytest.mark.integration
TROUBLE = (Unavailable("The archive is away."), OSError("torn"), ValueError("no time"))


@pytest.fixture
def files(tmp_path):
    for name in ("a", "b", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_bytes(name.encode() * 1000)
        os.utime(tmp_path / name / "file", (1_700_000_000, 1_700_000_000))
    return tmp_path


def write(files, *datasets, more=""):
    lines = [f"  - {{id: {id}, title: T, adapter: local, url: {files / folder}{more}}}" for id, folder in datasets]
    (files / "catalogue.yaml").write_text("datasets:\n" + "\n".join(lines) + "\n")


@pytest.fixture
def access(files, monkeypatch):
    monkeypatch.setattr(following, "_LOOK_SECONDS", 0.0)
    write(files, ("a", "a"))
    made = _start({"ALC_CATALOGUE": str(files / "catalogue.yaml"), "ALC_STATE": str(files / "state"), "HOME": "/"})
    yield made
    made.end()
    while made._loop.is_running():
        time.sleep(0.01)
    made._loop.close()  # which otherwise ends with its process


async def names(access):
    return [one["name"] for one in await access.ls("")]


async def test_t13_datasets_come_change_and_go_without_a_restart(access, files, caplog):
    assert await names(access) == ["a"]
    assert await access.read("a/file", 0, 3) == b"aaa"
    write(files, ("a", "a"), ("b", "b"))
    assert await names(access) == ["a", "b"]
    assert await access.read("b/file", 0, 3) == b"bbb"
    write(files, ("b", "other"))
    assert await names(access) == ["b"]
    assert await access.read("b/file", 0, 5) == b"other"
    with pytest.raises(FileNotThere):
        await access.read("a/file")
    write(files, ("a", "a"), ("b", "b"))
    assert await names(access) == ["a", "b"]
    assert await access.read("a/file", 0, 3) == b"aaa"
    assert await access.read("b/file", 0, 3) == b"bbb"


async def test_t13_a_mistake_is_told_with_its_line_and_what_was_before_stays(access, files, caplog):
    write(files, ("a", "a"), ("b", "b"), more=", transfer: {pattern: eager}")
    assert await names(access) == ["a"]
    problem = (await access.status())["daemon"]["problem"]
    assert problem["message"].endswith("catalogue.yaml, line 2: there is no pattern 'eager'.")
    assert problem["next_step"] == "Use one of lazy, siblings, mirror, list."
    assert len([one for one in caplog.records if "line 2" in one.getMessage()]) == 1
    (files / "catalogue.yaml").unlink()
    assert await names(access) == ["a"]
    write(files, ("a", "a"), ("b", "b"))
    assert await names(access) == ["a", "b"]
    assert (await access.status())["daemon"]["problem"] is None


async def test_t12_a_mirror_that_is_new_in_the_catalogue_begins(access, files):
    assert await access.transfers() == []
    write(files, ("a", "a"), ("b", "b"), more=", published: true, transfer: {pattern: mirror}")
    assert await names(access) == ["a", "b"]
    async with asyncio.timeout(10):
        while [one["state"] for one in await access.transfers()] != ["done", "done"]:
            await asyncio.sleep(0.02)
    assert {one["pattern"] for one in await access.transfers()} == {"mirror"}


def test_t13_the_hub_goes_on_with_the_catalogue_of_before(files):
    told = []
    write(files, ("a", "a"))
    file = CatalogueFile(files / "catalogue.yaml", told.append)
    assert [one.id for one in file.read().all()] == ["a"]
    write(files, ("a", "a"), more=", transfer: {parallel: none}")
    for _ in range(3):
        assert [one.id for one in file.read().all()] == ["a"]
    assert len(told) == 1
    assert "line 2: parallel is not a whole number." in told[0]
    assert told[0].endswith("Write parallel: 8, or leave it out. The datasets of before are still offered.")
    write(files, ("b", "b"), more=", transfer: {pattern: siblings}")
    assert [one.transfer.pattern for one in file.read().all()] == [Pattern.SIBLINGS]
    assert file.mistake is None


async def test_w19_keys_that_cannot_be_had_or_handed_on_are_asked_for_again(files, monkeypatch, caplog):
    """Whatever goes wrong: whoever stopped asking would be refused an hour later."""
    monkeypatch.setattr(following, "_KEYS_SECONDS", 0.01)
    monkeypatch.setattr(following, "_AGAIN_SECONDS", 0.02)
    write(files, ("a", "a"))
    followed = following.Followed(files / "catalogue.yaml", None, "ada")
    mounted, at_door, at_archive = followed._mounted, list(TROUBLE), list(TROUBLE)
    renewed = asyncio.Event()

    def ask():
        if at_archive:
            raise at_archive.pop()
        return mounted()

    def renew(_keys):
        if at_door:
            raise at_door.pop()
        renewed.set()

    monkeypatch.setattr(followed, "_mounted", ask)
    keeping = asyncio.create_task(followed.keep_keys(renew))
    await asyncio.wait_for(renewed.wait(), 20)
    keeping.cancel()
    told = [record.getMessage() for record in caplog.records if "No new session keys" in record.getMessage()]
    assert told == [f"No new session keys: {one}" for one in ("no time", "torn", "The archive is away.")] * 2
