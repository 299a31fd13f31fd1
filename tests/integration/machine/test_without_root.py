"""The same launcher and the same agent as an ordinary user: a process tree, one person, and it says so."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp
import pytest
from machine_world import ROOT, Host, claim_order, serve_vmm, soon

from jupyter_alc.vmm.clouds.processes import with_environment

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.integration
ORDINARY = 61234


@pytest.fixture
def uid() -> int:
    return ORDINARY if os.geteuid() == 0 else os.getuid()


@pytest.fixture
def ordinary(short_folder: Path, uid: int) -> Iterator[Host]:
    closed = [one for one in (ROOT, *ROOT.parents) if not one.stat().st_mode & 0o005]
    if os.geteuid() == 0 and closed:
        pytest.skip(f"an ordinary user cannot read {closed[0]}")
    os.chown(short_folder, uid, -1)
    host = Host(short_folder, drop=uid if os.geteuid() == 0 else None)
    host.start()
    yield host
    host.close()


async def test_a_process_tree_serves_its_person_and_ends_whole(ordinary: Host, uid: int) -> None:
    async with serve_vmm("127.0.0.1") as vmm:
        key = "machine-plain"
        machine = ordinary.make(key, user_data=vmm.user_data(key))
        assert (machine["isolation"], machine["address"]) == ("none", "127.0.0.1")
        await vmm.wait_for("ready", allocation=None)
        told = {"key": key, "person": "ada", "uid": uid}
        home = ordinary.ask("attach", **told, volume="home", at="/home/ada")["path"]
        dms = ordinary.ask("attach", **told, volume="dms", at="/var/lib/alc-dms")["path"]
        order = claim_order(vmm.url, home, dms, ids=(uid, uid))
        await vmm.give(**{**order, "server": {**order["server"], "port": 0}})
        ready = await vmm.wait_for("ready", allocation="allocation-1")
        async with aiohttp.ClientSession() as session, session.get(f"{ready['url']}/user/ada/api") as answer:
            assert answer.status == 200
        assert with_environment(f"ALC_MACHINE_KEY={key}")
        await vmm.give(kind="release", allocation="allocation-1", fence=1, flush_deadline_seconds=5)
        assert (await vmm.wait_for("drained"))["unsent"] == []
        assert ordinary.ask("end", key=key) == {"gone": True}
        await soon(lambda: not with_environment(f"ALC_MACHINE_KEY={key}"))
        assert home not in Path("/proc/self/mounts").read_text()
