"""The disk of the machine service is full: a claim is refused in words, and whoever has a machine keeps it."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from jupyter_alc.core.errors import AlcError, NoSpace
from tests.integration.vmm import conftest
from tests.integration.vmm.conftest import House
from tests.integration.vmm.test_a_life import all_warm, claim, comes_to

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from jupyter_alc.vmm.client import HubClient

pytestmark = [pytest.mark.integration, pytest.mark.root]
LEASE_SECONDS = 4.0  # so long that a computer that stands still for moments ends none


@pytest.fixture
def disk() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="alc-t-"))
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m,mode=700", "tmpfs", str(folder)], check=True)
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)
    shutil.rmtree(folder)


@contextlib.contextmanager
def full(disk: Path) -> Iterator[None]:
    others = disk / "others"
    with others.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:  # to the last page: the one who is tested writes beside
            file.write(bytes(4096))
    try:
        yield
    finally:
        others.unlink()


@pytest.fixture
async def house(disk: Path, hub_api: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[House]:
    monkeypatch.setattr(conftest, "QUICK", replace(conftest.QUICK, lease_seconds=LEASE_SECONDS))
    house = House(disk, hub_api)
    try:
        yield house
    finally:
        await house.close()


async def claim_until_refused(hub: HubClient, user: str = "ada") -> None:
    """The first claims may fit into what the store's log takes on the disk already."""
    for spawn in range(1, 50):
        made = await claim(hub, user=user, spawn=spawn)
        await hub.release(made["id"])


async def beat(house: House, key: str, ident: str) -> None:
    while True:
        await house.agents[key].report("heartbeat", allocation=ident, fence=1)
        await asyncio.sleep(0.3)


async def test_a_claim_is_refused_in_words_and_goes_through_when_there_is_room(house: House, disk: Path) -> None:
    hub = await house.start()
    await all_warm(hub)
    with full(disk):
        with pytest.raises(NoSpace) as told:
            await claim_until_refused(hub)
        assert str(told.value) == "The disk of the machine service is full, so nothing was changed."
        assert told.value.next_step == "Try again in a while; the operator has to make room there."
        assert await hub.machine_types("ada"), "what needs no room is answered"
    made = await claim(hub, spawn=100)
    await comes_to(hub, made["id"], "ready")


async def test_who_has_a_machine_keeps_it_though_its_signs_of_life_found_no_room(house: House, disk: Path) -> None:
    hub = await house.start()
    await all_warm(hub)
    made = await claim(hub)
    key = made["machine"]
    heart = asyncio.create_task(beat(house, key, made["id"]))
    try:
        await comes_to(hub, made["id"], "ready")
        with full(disk):
            with contextlib.suppress(AlcError):
                await claim_until_refused(hub, "brahe")
            await asyncio.sleep(2.5 * LEASE_SECONDS)
        await asyncio.sleep(LEASE_SECONDS)
        told = await hub.allocation(made["id"])
        assert (told["state"], told["machine"]) == ("ready", key)
    finally:
        heart.cancel()
        await asyncio.gather(heart, return_exceptions=True)
