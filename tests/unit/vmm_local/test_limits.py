"""Control groups of version 2, as files: which are written, with what, and what is said where they cannot be."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from jupyter_alc.vmm.clouds import limits

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.unit

GB = 1000**3


class Host:
    """A computer whose one hierarchy is of version 2; the launcher is in `system.slice/alc.service`."""

    def __init__(self, folder: Path, hands_on: str) -> None:
        self.proc, self.root = folder / "proc", folder / "cgroup"
        self.own = self.root / "system.slice/alc.service"
        self.own.mkdir(parents=True)
        self.proc.mkdir()
        (self.proc / "mounts").write_text(f"proc /proc proc rw 0 0\ncgroup2 {self.root} cgroup2 rw,nosuid 0 0\n")
        (self.proc / "cgroup").write_text("0::/system.slice/alc.service\n")
        self.switch(self.own.parent).write_text(hands_on)

    @staticmethod
    def switch(group: Path) -> Path:
        return group / "cgroup.subtree_control"

    def refuses(self, group: Path) -> None:
        """The kernel's way: a group with processes in it hands nothing on."""
        self.switch(group).mkdir()

    def limit(self, cores: float = 1.5) -> limits.Limits:
        return limits.limit("alc-0123456789", cores, 3 * GB, self.proc)


def test_a_machines_group_is_made_beside_the_launchers_and_holds_cores_memory_and_processes(tmp_path: Path) -> None:
    host = Host(tmp_path, "cpu memory pids")
    host.refuses(host.own)
    held = host.limit()
    group = host.own.parent / "alc-0123456789"
    assert held == limits.Limits((group,), cores=True, memory=True)
    assert {one.name: one.read_text() for one in group.iterdir()} == {
        "cpu.max": "150000 100000",
        "memory.max": "3000000000",
        "memory.swap.max": "0",
        "pids.max": "8192",
    }


def test_what_a_group_does_not_hand_on_yet_is_switched_on(tmp_path: Path) -> None:
    host = Host(tmp_path, "cpuset cpu")
    host.refuses(host.own)
    assert host.limit().memory
    assert host.switch(host.own.parent).read_text() == "+memory +pids"


def test_where_no_group_can_be_had_nothing_is_claimed(tmp_path: Path) -> None:
    host = Host(tmp_path, "")
    for group in (host.own, host.root):
        host.refuses(group)
    host.switch(host.own.parent).unlink()
    host.refuses(host.own.parent)
    assert host.limit() == limits.Limits()
    assert host.limit().as_json() == {"cores": False, "memory": False}


def test_a_limit_that_the_kernel_refuses_is_not_claimed(tmp_path: Path) -> None:
    host = Host(tmp_path, "cpu memory pids")
    host.refuses(host.own)
    (host.own.parent / "alc-0123456789/memory.max").mkdir(parents=True)
    held = host.limit()
    assert (held.cores, held.memory) == (True, False)


def test_a_group_whose_note_is_lost_is_found_by_its_name(tmp_path: Path) -> None:
    host = Host(tmp_path, "cpu memory pids")
    host.refuses(host.own)
    held = host.limit()
    assert limits.find("alc-0123456789", host.proc) == list(held.folders)
    assert limits.find("alc-another", host.proc) == []
