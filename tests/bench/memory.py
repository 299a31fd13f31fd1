"""What a machine costs in memory: proportional set size of all its processes, and of the services beside it."""

from __future__ import annotations

import json
from collections import defaultdict
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.running import wait_for_pools
from bench.sitting import ada_in_lab

if TYPE_CHECKING:
    from day.system import System


def measure(_rounds: int, pictures: Path) -> dict[str, Any]:
    """Look at a warm machine of nobody's and at ada's, with Lab open and one kernel that was used and ended."""
    with ada_in_lab(pictures) as (system, person):
        wait_for_pools(system)
        page = person.page
        page.locator(".jp-LauncherCard", has_text="Python 3").first.click()
        page.wait_for_selector(".jp-NotebookPanel .jp-Cell")
        page.wait_for_timeout(8000)  # the kernel has started, and its machine is at rest
        machines = {one["key"]: one for one in system.machines()}
        warm = next(key for key, one in machines.items() if one["state"] == "ready" and one["type"] == "small")
        used = system.allocations("ada")[0]["machine"]
        below = _below()
        theirs = {pid for key in machines for pid in _of_machine(system, key, below)}
        ours = [pid for pid in _tree(int(system.facts["pid"]), below) if pid not in theirs]
        return {
            "warm, nobody's": _machine(system, warm, below),
            "in use, Lab and one kernel": _machine(system, used, below),
            "Hub, proxy, VMM, archive, launcher": {
                "pss_mb": round(sum(_pss(pid) for pid in ours) / 1e6),
                "processes": len(ours),
            },
        }


def _machine(system: System, key: str, below: dict[int, list[int]]) -> dict[str, int]:
    pids = _of_machine(system, key, below)
    return {"pss_mb": round(sum(_pss(pid) for pid in pids) / 1e6), "processes": len(pids)}


def _of_machine(system: System, key: str, below: dict[int, list[int]]) -> list[int]:
    first = int(json.loads((system.state / "machines" / key / "machine.json").read_text())["pid"])
    return _tree(first, below)


def _below() -> dict[int, list[int]]:
    """Children by parent."""
    found: dict[int, list[int]] = defaultdict(list)
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with suppress(OSError):
                words = (folder / "stat").read_text().rsplit(")", 1)[1].split()
                found[int(words[1])].append(int(folder.name))
    return found


def _tree(pid: int, below: dict[int, list[int]]) -> list[int]:
    return [pid, *(one for child in below.get(pid, []) for one in _tree(child, below))]


def _pss(pid: int) -> int:
    """Bytes; each page is shared out among the processes that have it."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0
