"""A machine's life as VMM sees it: enrol, ready, claim, drain; with real data and a real Jupyter server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from machine_world import ADA, ADA_DMS, ROOT, Host, Vmm, claim_order, free_port, soon

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = [pytest.mark.integration, pytest.mark.root, pytest.mark.fuse]
STAGES = ["claimed", "account", "mount", "proof", "server"]
BOMB = """
import os, resource, signal, time
resource.setrlimit(resource.RLIMIT_NPROC, (300, 300))
for number in (signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
while True:
    try:
        if os.fork() == 0:
            os.setsid()
    except OSError:
        time.sleep(0.001)
"""


@dataclass
class Archive:
    """The example archive, on the service address."""

    folder: Path
    address: str
    port: int
    process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        accounts = self.folder / "accounts.json"
        accounts.write_text(json.dumps({"ada": "archive-password-of-ada"}))
        accounts.chmod(0o600)
        words = ["--host", self.address, "--port", str(self.port), "--root", str(self.folder / "root")]
        words += ["--accounts", str(accounts), "--log", str(self.folder / "requests.log")]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "jupyter_alc.example.archive", *words],
            stdout=subprocess.PIPE, text=True, cwd=ROOT, env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        assert self.process.stdout
        assert json.loads(self.process.stdout.readline())["ready"]

    def stop(self) -> None:
        if self.process:
            self.process.terminate()
            self.process.wait(20)
            assert self.process.stdout
            self.process.stdout.close()
            self.process = None

    def dataset(self, name: str, path: str, access: str) -> dict[str, Any]:
        return {
            "id": name, "title": name, "adapter": "webdav", "url": f"http://{self.address}:{self.port}/{path}",
            "access": access, "where": "here", "size_bytes": None, "published": False,
            "credentials": {"username": "ada", "password": "archive-password-of-ada"},
        }  # fmt: skip

    @property
    def datasets(self) -> list[dict[str, Any]]:
        return [
            self.dataset("sans-examples", "sans-examples", "read"),
            self.dataset("results", "results/ada", "write"),
        ]

    def result(self, name: str) -> Path:
        return self.folder / "root/results/ada" / name


@pytest.fixture
async def archive(host: Host, tmp_path: Path) -> AsyncIterator[Archive]:
    one = Archive(tmp_path, host.told["service_address"], free_port(host.told["service_address"]))
    one.start()
    yield one
    one.stop()


class Day:
    """One machine, from made to claimed."""

    def __init__(self, host: Host, vmm: Vmm, key: str) -> None:
        self.host, self.vmm, self.key = host, vmm, key
        self.machine: dict[str, Any] = {}

    async def make(self) -> None:
        self.machine = self.host.make(self.key, user_data=self.vmm.user_data(self.key))
        await self.vmm.wait_for("ready", allocation=None)
        for volume, uid, at in (("home", ADA, "/home/ada"), ("dms", ADA_DMS, "/var/lib/alc-dms")):
            assert self.host.ask("attach", key=self.key, volume=volume, person="ada", uid=uid, at=at) == {"path": at}

    async def claim(self, datasets: list[dict[str, Any]], fence: int = 1, **changed: Any) -> int:
        """Give the order; returns how many reports there were before it."""
        order = claim_order(self.vmm.url, "/home/ada", "/var/lib/alc-dms", ids=(ADA, ADA_DMS), **changed)
        before = len(self.vmm.reports)
        await self.vmm.give(**{**order, "fence": fence, "data": {"datasets": datasets}})
        return before

    async def ready(self, after: int = 0) -> dict[str, Any]:
        try:
            return await self.vmm.wait_for("ready", after=after, allocation="allocation-1")
        except AssertionError:
            sys.stdout.write(self.host.log(self.key))
            raise

    async def release(self, seconds: float = 10) -> dict[str, Any]:
        before = len(self.vmm.reports)
        fence = max(one["fence"] for one in self.vmm.orders)
        await self.vmm.give(kind="release", allocation="allocation-1", fence=fence, flush_deadline_seconds=seconds)
        return await self.vmm.wait_for("drained", after=before, seconds=seconds + 40)

    def as_ada(self, script: str) -> str:
        return self.host.run_in(self.machine, script, uid=ADA)

    def as_root(self, script: str) -> str:
        return self.host.run_in(self.machine, script)

    async def failed(self, after: int, allocation: str = "allocation-1") -> dict[str, Any]:
        return await self.vmm.wait_for("failed", after=after, allocation=allocation)

    async def write_while_away(self, archive: Archive, name: str, text: str) -> None:
        """Open a result, stop the archive, write and close: what then is staged cannot have been sent."""
        work = f"exec 3> /home/ada/data/results/{name}; touch /tmp/opened; until [ -e /tmp/go ]; do sleep 0.05; done"
        self.as_ada(f"rm -f /tmp/go; ({work}; echo {text} >&3; exec 3>&-; rm /tmp/opened) > /tmp/said 2>&1 &")
        await soon(lambda: "opened" in self.as_ada("ls /tmp"))
        archive.stop()
        self.as_ada("touch /tmp/go")
        await soon(lambda: "opened" not in self.as_ada("ls /tmp"))
        assert self.as_ada("cat /tmp/said") == ""

    def pid_of(self, uid: int) -> int:
        """The first process of this uid, by the machine's own count; 0 when there is none."""
        said = self.as_root(f"pgrep -U {uid} | head -n 1").split()
        return int(said[0]) if said else 0


@pytest.fixture
async def day(host: Host, vmm: Vmm) -> Day:
    one = Day(host, vmm, "machine-a")
    await one.make()
    return one


async def test_a_claimed_machine_serves_its_person_and_drains_what_she_wrote(day: Day, archive: Archive) -> None:
    await day.claim(archive.datasets)
    ready = await day.ready()
    assert ready["url"] == f"http://{day.machine['address']}:8888"
    assert [one["stage"]["name"] for one in day.vmm.reports if one.get("stage")] == STAGES
    async with aiohttp.ClientSession() as session, session.get(f"{ready['url']}/user/ada/api") as answer:
        assert answer.status == 200
    assert {"1d_data", "2d_data"} <= set(day.as_ada("ls /home/ada/data/sans-examples").split())

    # her server is hers alone: no root, no rights, and no secret where others (or she, of the machine) could read it
    status = day.as_root(f"cat /proc/{day.pid_of(ADA)}/status")
    assert "CapEff:\t0000000000000000" in status
    assert "NoNewPrivs:\t1" in status
    commands = day.as_root("cat /proc/[0-9]*/cmdline | tr '\\0' '\\n'")
    assert "jupyter_alc" in commands
    for secret in ("archive-password-of-ada", "s3cret-token-of-the-server", "once-only", "machine-secret"):
        assert secret not in commands
    seen = day.as_ada("cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' '\\n'")
    assert "archive-password" not in seen
    assert "machine-secret" not in seen
    for closed in ("/var/lib/alc-dms", "/run/alc/agent"):
        assert "Permission denied" in day.as_ada(f"ls {closed}")
    assert "Permission denied" in day.host.run_in(day.machine, "ls /home/ada/data", uid=ADA + 6)

    # what she wrote is at the archive before the machine says that it is drained; what cannot be sent is told
    write = "mkdir /home/ada/data/results/run && echo 1.25 > /home/ada/data/results/run/rg.csv"
    assert day.as_ada(f"{write}; ls /home /home/ada/data/results") == "/home:\nada\n\n/home/ada/data/results:\nrun\n"
    await soon(lambda: archive.result("run/rg.csv").exists())
    await day.write_while_away(archive, "late.txt", "kept")
    drained = await day.release(seconds=3)
    assert [Path(one["path"]).name for one in drained["unsent"]] == ["late.txt"]
    assert not day.pid_of(ADA)
    archive.start()
    assert (await day.release(seconds=30))["unsent"] == []
    assert archive.result("run/rg.csv").read_text() == "1.25\n"
    assert archive.result("late.txt").read_text() == "kept\n"
    assert not day.pid_of(ADA_DMS)
    assert "fuse" not in day.as_root("grep /home/ada/data /proc/mounts")


async def test_what_fails_is_told_and_tried_again_and_what_dies_comes_back(day: Day, archive: Archive) -> None:
    # something else is named data in her home
    day.as_ada("ln -s /etc /home/ada/data")
    failed = await day.failed(await day.claim(archive.datasets))
    assert (failed["stage"]["name"], failed["problem"]["code"]) == ("account", "conflict")
    assert day.as_ada("readlink /home/ada/data") == "/etc\n"
    day.as_ada("rm /home/ada/data")

    # an archive that is not there
    wrong = [{**one, "url": one["url"].replace(str(archive.port), "9")} for one in archive.datasets]
    failed = await day.failed(await day.claim(wrong, fence=2, deadlines={"mount": 15, "proof": 3}))
    assert failed["stage"]["name"] in {"mount", "proof"}
    assert failed["problem"]["message"]
    assert failed["problem"]["next_step"]
    assert not day.pid_of(ADA)
    await day.ready(after=await day.claim(archive.datasets, fence=3))

    # the data daemon is killed while something is unsent
    await day.write_while_away(archive, "staged.txt", "staged")
    first, server = day.pid_of(ADA_DMS), day.pid_of(ADA)
    day.as_root(f"kill -9 {first}")
    await soon(lambda: day.pid_of(ADA_DMS) not in {0, first})
    archive.start()
    await soon(lambda: "1d_data" in day.as_ada("ls /home/ada/data/sans-examples"), 60)
    assert day.as_ada("cat /home/ada/data/results/staged.txt") == "staged\n"
    assert day.pid_of(ADA) == server

    # her server is killed, and started again by the same claim
    before = len(day.vmm.reports)
    day.as_root(f"kill -9 {server}")
    assert (await day.failed(before))["problem"]["message"] == "Your Jupyter server ended."
    await day.ready(after=await day.claim(archive.datasets, fence=4))
    assert (await day.release(seconds=30))["unsent"] == []
    assert archive.result("staged.txt").read_text() == "staged\n"


async def test_one_claim_is_let_in_and_it_holds_whatever_happens_to_vmm(day: Day) -> None:
    await day.claim([], fence=5)
    ready = await day.ready()
    server = day.pid_of(ADA)
    for changed in ({"allocation": "allocation-2", "fence": 6}, {"fence": 4}):
        order = claim_order(day.vmm.url, "/home/ada", "/var/lib/alc-dms", ids=(ADA, ADA_DMS))
        before = len(day.vmm.reports)
        await day.vmm.give(**{**order, **changed})
        assert (await day.failed(before, changed.get("allocation", "allocation-1")))["problem"]["code"] == "conflict"
    before = len(day.vmm.reports)
    await day.vmm.give(kind="release", allocation="allocation-2", fence=9, flush_deadline_seconds=1)
    assert (await day.failed(before, "allocation-2"))["problem"]["code"] == "conflict"
    again = await day.ready(after=await day.claim([], fence=5))
    assert again["url"] == ready["url"]
    assert day.pid_of(ADA) == server

    # the warm parent may die: the server lives on
    day.as_root("pkill -9 -U 0 -f agent.warm")
    async with aiohttp.ClientSession() as session, session.get(f"{ready['url']}/user/ada/api") as answer:
        assert answer.status == 200

    # VMM is away, and the server ends meanwhile: the report waits
    before = len(day.vmm.reports)
    day.vmm.away = True
    await soon(lambda: "does not answer" in day.host.log("machine-a"))
    day.as_root(f"kill -9 {server}")
    day.vmm.away = False
    await day.failed(before)
    await day.ready(after=await day.claim([], fence=6))


async def test_processes_that_start_themselves_anew_do_not_outlive_the_release(day: Day) -> None:
    await day.claim([])
    await day.ready()
    day.as_ada(f"/usr/bin/python3 -c '{BOMB}' > /dev/null 2>&1 &")
    await soon(lambda: int(day.as_root(f"pgrep -c -U {ADA}")) > 100)
    await day.release()
    await soon(lambda: day.pid_of(ADA) == 0)  # the dead are collected in their own time


async def test_a_machine_that_may_not_enrol_ends(host: Host, vmm: Vmm) -> None:
    host.make("machine-b", user_data={**vmm.user_data("machine-b"), "enrolment_token": "stolen"})
    await soon(lambda: host.machines()["machine-b"]["state"] == "dead")
    assert vmm.reports == []
