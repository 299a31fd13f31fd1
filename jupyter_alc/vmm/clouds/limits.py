"""Cores and memory of a machine, enforced by cgroups of either version; where neither can be had, that is said.

The groups are made below the launcher's own, so a limit set on all of us holds for the machines as well.
"""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

_SELF: Final = Path("/proc/self")
_PERIOD_US: Final = 100_000
_PROCESSES: Final = "8192"


@dataclass(frozen=True, slots=True)
class Limits:
    """The cgroup folders of one machine, and which limits they enforce."""

    folders: tuple[Path, ...] = ()
    cores: bool = False
    memory: bool = False

    def as_json(self) -> dict[str, bool]:
        """What the machine's card may claim."""
        return {"cores": self.cores, "memory": self.memory}


def _own_groups(proc: Path) -> dict[str, str]:
    lines = (proc / "cgroup").read_text().splitlines()
    parts = [line.split(":", 2) for line in lines]
    return {name: path for _, names, path in parts for name in (names.split(",") if names else [""])}


def _mounts(proc: Path) -> list[tuple[str, Path, frozenset[str]]]:
    rows = [line.split() for line in (proc / "mounts").read_text().splitlines()]
    return [(row[2], Path(row[1]), frozenset(row[3].split(","))) for row in rows if row[2] in {"cgroup", "cgroup2"}]


def _v1_parent(controller: str, proc: Path) -> Path | None:
    for kind, at, options in _mounts(proc):
        if kind == "cgroup" and controller in options:
            own = at / _own_groups(proc).get(controller, "/").lstrip("/")
            return own if own.is_dir() else at
    return None


def _v2_parent(proc: Path) -> Path | None:
    """Return the nearest group from ours upwards that hands cores and memory to its children (or can be made to)."""
    root = next((at for kind, at, _ in _mounts(proc) if kind == "cgroup2"), None)
    if root is None:
        return None
    here = root / _own_groups(proc).get("", "/").lstrip("/")
    for parent in [here, *here.parents]:
        if not parent.is_relative_to(root):
            break
        if _hands_on(parent):
            return parent
    return None


def _hands_on(parent: Path) -> bool:
    try:
        switch = parent / "cgroup.subtree_control"
        missing = {"cpu", "memory", "pids"} - set(switch.read_text().split())
        if missing:
            switch.write_text(" ".join(f"+{name}" for name in sorted(missing)))
    except OSError:
        return False
    return True


def _write(folder: Path | None, name: str, value: str) -> bool:
    if folder is None:
        return False
    try:
        (folder / name).write_text(value)
    except OSError:
        return False
    return True


def _made(parent: Path | None, name: str) -> Path | None:
    if parent is None:
        return None
    try:
        (parent / name).mkdir(exist_ok=True)
    except OSError:
        return None
    return parent / name


def limit(name: str, cores: float, memory_bytes: int, proc: Path = _SELF) -> Limits:
    """Make groups called `name` that hold their members to `cores` and `memory_bytes`, as far as this host can.

    `proc` tells which groups there are and which is ours.
    """
    quota = str(int(cores * _PERIOD_US))
    if any(kind == "cgroup" and "memory" in options for kind, _, options in _mounts(proc)):
        return _limit_v1(name, quota, memory_bytes, proc)
    group = _made(_v2_parent(proc), name)
    if group is None:
        return Limits()
    _write(group, "pids.max", _PROCESSES)
    _write(group, "memory.swap.max", "0")
    return Limits(
        folders=(group,),
        cores=_write(group, "cpu.max", f"{quota} {_PERIOD_US}"),
        memory=_write(group, "memory.max", str(memory_bytes)),
    )


def _limit_v1(name: str, quota: str, memory_bytes: int, proc: Path) -> Limits:
    cpu, memory, pids = (_made(_v1_parent(controller, proc), name) for controller in ("cpu", "memory", "pids"))
    _write(pids, "pids.max", _PROCESSES)
    return Limits(
        folders=tuple(dict.fromkeys(group for group in (cpu, memory, pids) if group)),
        cores=_write(cpu, "cpu.cfs_period_us", str(_PERIOD_US)) and _write(cpu, "cpu.cfs_quota_us", quota),
        memory=_write(memory, "memory.limit_in_bytes", str(memory_bytes)),
    )


def find(name: str, proc: Path = _SELF) -> list[Path]:
    """Every group of that name on this host: for when the note of where it was made is lost.

    Groups come and go while we look, which is why they are walked and not globbed.
    """
    walked = ((folder, below) for _, at, _ in _mounts(proc) for folder, below, _ in os.walk(at))
    return [Path(folder, name) for folder, below in walked if name in below]


def remove(folders: Iterable[Path], deadline_seconds: float = 10.0) -> None:
    """End whatever still runs in `folders` and remove them; fine when they are not there."""
    until = time.monotonic() + deadline_seconds
    for folder in folders:
        while folder.is_dir():
            _kill_members(folder)
            try:
                folder.rmdir()
            except OSError:
                if time.monotonic() > until:
                    break
                time.sleep(0.02)


def _kill_members(folder: Path) -> None:
    try:
        members = (folder / "cgroup.procs").read_text().split()
    except OSError:
        return
    for pid in members:
        try:
            os.kill(int(pid), signal.SIGKILL)
        except ProcessLookupError:
            continue
