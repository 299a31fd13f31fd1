"""Many processes claim machines in one store while some of them are killed; `python racing.py 10000` for a long race.

Each claimant takes a machine, notes it, and gives it back; a refiller ends what was given back and makes new ones.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from jupyter_alc.core.clock import SystemClock, random_id
from jupyter_alc.core.errors import IllegalMove, PoolExhausted
from jupyter_alc.core.states import MachineState
from jupyter_alc.vmm.claims import Claim
from jupyter_alc.vmm.reports import Report
from jupyter_alc.vmm.store import Store
from jupyter_alc.vmm.types import MachineType

if TYPE_CHECKING:
    from jupyter_alc.vmm.rows import Allocation

KIND = MachineType("small", "General", cores=1, memory_bytes=10**9, environment="python", min_ready=8, max_total=12)
STORE = "vmm.sqlite"
BETWEEN_KILLS = 4  # claims at least: on a busy computer a process may need seconds before it begins


def claimant(folder: Path, number: int, claims: int) -> None:
    """Claim until `claims` are noted, going on where an earlier process of this number was killed."""
    store, notes = Store(folder / STORE, SystemClock()), folder / f"notes-{number}"
    notes.touch()
    for turn in range(len(notes.read_text().splitlines()), claims):
        got = _claimed(store, f"person-{number}-{turn}")
        with notes.open("a") as file:
            file.write(f"{got.id} {got.machine}\n")
        store.release(got.id, "its turn is over")


def _claimed(store: Store, user: str) -> Allocation:
    asked = Claim(user, "", "1", KIND.id)
    while True:
        with suppress(PoolExhausted):
            found, _ = store.claim(asked, {KIND.id: KIND})
            if found.machine is not None:
                return found
        time.sleep(0.005)


def refiller(folder: Path) -> None:
    """Keep the pool full for ever."""
    store = Store(folder / STORE, SystemClock())
    while True:
        for machine in store.rows().machines:
            with suppress(IllegalMove):
                if machine.state is MachineState.DELETING:
                    store.move(machine.key, MachineState.GONE, "ended")
                elif machine.ready_at is None:  # an earlier refiller was killed while it made this one
                    store.move(machine.key, MachineState.DELETING, "half made")
        key, token = random_id("machine"), "token"
        if store.add_machine(key, KIND.id, token, KIND.max_total):
            store.change(key, isolation="simulated", address="127.0.0.1")
            store.enrol(key, token)
            store.report(key, Report("ready"))
        else:
            time.sleep(0.002)


@dataclass
class Race:
    """The processes of one race, and what is in the store afterwards."""

    folder: Path
    claimants: int
    claims: int
    killed: int = 0
    most_living: int = 0
    _running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def run(self, seconds: float, kill_every_seconds: float = 1.0) -> None:
        """Run until everybody has all their claims, killing one process after the other."""
        store, late = Store(self.folder / STORE, SystemClock()), time.monotonic() + seconds
        kill_at, enough = time.monotonic() + kill_every_seconds, BETWEEN_KILLS
        names = [str(number) for number in range(self.claimants)]
        try:
            while [name for name in names if self._keep(name)]:
                self._keep("refiller")
                assert time.monotonic() < late, self.noted()
                self.most_living = max(self.most_living, len(store.rows().machines))
                if time.monotonic() > kill_at and (noted := self._lines()) >= enough:
                    self._kill(random.choice([*names, "refiller"]))
                    kill_at, enough = time.monotonic() + kill_every_seconds, noted + BETWEEN_KILLS
                time.sleep(0.01)
        finally:
            for process in self._running.values():
                process.kill()
                process.wait()
            store.close()

    def _keep(self, name: str) -> bool:
        """Start a process that is not there; False when it has done all it had to."""
        process = self._running.get(name)
        if process is not None and process.poll() == 0:
            return False
        if process is None or process.poll() is not None:
            assert process is None or process.returncode == -9, (name, process.returncode)
            words = [sys.executable, __file__, str(self.folder), name, str(self.claims)]
            self._running[name] = subprocess.Popen(words)
        return True

    def _kill(self, name: str) -> None:
        if self._running[name].poll() is None:
            self._running[name].kill()
            self._running[name].wait()
            self.killed += 1

    def _lines(self) -> int:
        return sum(one.read_bytes().count(b"\n") for one in self.folder.glob("notes-*"))

    def noted(self) -> list[tuple[str, str]]:
        """Every allocation that a claimant was given, with its machine."""
        lines = [line for one in self.folder.glob("notes-*") for line in one.read_text().splitlines()]
        return [(ident, machine) for ident, machine in map(str.split, lines)]

    def doubles(self) -> list[str]:
        """Machines that more than one allocation ever had."""
        return [machine for machine, times in Counter(machine for _, machine in set(self.noted())).items() if times > 1]

    def lost(self) -> list[str]:
        """Allocations that were told and are not in the store with that machine."""
        store = Store(self.folder / STORE, SystemClock())
        try:
            return [ident for ident, machine in self.noted() if store.allocation(ident).machine != machine]
        finally:
            store.close()


def main() -> None:
    """Be one process of a race, or run a whole one of so many claims."""
    if len(sys.argv) == 2:
        with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:  # so that the locks are raced, not the disk
            race, began = Race(Path(folder), 4, int(sys.argv[1]) // 4), time.monotonic()
            race.run(seconds=3600)
            told = f"{len(race.noted())} claims, {race.killed} processes killed, {len(race.doubles())} doubles"
            sys.stdout.write(f"{told}, {len(race.lost())} lost, {time.monotonic() - began:.0f} s\n")
        return
    folder, name, claims = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    if name == "refiller":
        refiller(folder)
    else:
        claimant(folder, int(name), claims)
        os._exit(0)


if __name__ == "__main__":
    main()
