"""`python -m jupyter_alc.vmm.service` as a process: how it begins, waits, and ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.integration

COMMAND = [sys.executable, "-m", "jupyter_alc.vmm.service"]
PARENT = (
    "import subprocess, sys; p = subprocess.Popen(sys.argv[1:], stderr=sys.stderr); print(p.pid, flush=True); p.wait()"
)


class Started:
    """Processes of one test; what is left of them is ended by id."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.running: list[subprocess.Popen[str]] = []
        self.logs: dict[int, Path] = {}

    def start(self, *more: str, command: list[str] = COMMAND, **env: str) -> subprocess.Popen[str]:
        log = self.folder / f"log-{len(self.running)}"
        given = {
            **os.environ,
            "ALC_STATE": str(self.folder / "state"),
            "ALC_RUN": str(self.folder / "run"),
            "JUPYTERHUB_API_URL": "http://127.0.0.1:1/hub/api",
            **env,
        }
        with log.open("w") as file:
            process = subprocess.Popen([*command, *more], env=given, stderr=file, stdout=subprocess.PIPE, text=True)
        self.running.append(process)
        self.logs[process.pid] = log
        return process

    def says(self, process: subprocess.Popen[str], words: str, seconds: float = 40) -> str:
        log = self.logs[process.pid]
        wait_until(lambda: words in log.read_text(), seconds)
        return next(line for line in log.read_text().splitlines() if words in line)


def wait_until(true: Callable[[], bool], seconds: float = 40) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def children(pid: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Started]:
    made = Started(tmp_path)
    yield made
    for process in made.running:
        if process.poll() is None:
            process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def test_it_answers_where_it_was_told_and_a_second_one_waits_for_its_end(started: Started) -> None:
    first = started.start()
    url = started.says(first, "VMM answers at").split()[-1]
    assert url.startswith("http://127.0.0.1:")
    assert url.endswith("/services/vmm")
    with urllib.request.urlopen(url + "/v1/health", timeout=10) as answer:
        assert json.load(answer)["ok"] is True
    state = started.folder / "state/vmm"
    assert (state.stat().st_mode & 0o777, (state / "hub-secret").stat().st_mode & 0o777) == (0o700, 0o600)
    assert {one.stat().st_mode & 0o077 for one in state.iterdir()} == {0}
    second = started.start()
    started.says(second, "another VMM keeps the machines")
    assert "answers at" not in started.logs[second.pid].read_text()
    first.send_signal(signal.SIGTERM)
    assert first.wait(20) == 0
    started.says(second, "VMM answers at")
    second.send_signal(signal.SIGTERM)
    assert second.wait(20) == 0


def test_it_ends_with_the_process_that_started_it(started: Started) -> None:
    parent = started.start(*COMMAND, command=[sys.executable, "-c", PARENT])
    assert parent.stdout is not None
    vmm = int(parent.stdout.readline())
    started.says(parent, "VMM answers at")
    parent.kill()
    wait_until(lambda: not lives(vmm))


def test_a_killed_one_is_started_again_and_all_end_with_the_hub(started: Started) -> None:
    """Semantics 8, VMM at any other time."""
    keeping = [sys.executable, "-m", "jupyter_alc.vmm.kept"]
    hub = started.start(*keeping, command=[sys.executable, "-c", PARENT])
    assert hub.stdout is not None
    kept = int(hub.stdout.readline())
    log = started.logs[hub.pid]
    started.says(hub, "VMM answers at")
    os.kill(children(kept)[0], signal.SIGKILL)
    wait_until(lambda: log.read_text().count("VMM answers at") == 2)
    (second,) = children(kept)
    hub.kill()
    wait_until(lambda: not lives(kept) and not lives(second))


def test_one_that_was_told_to_end_stays_ended(started: Started) -> None:
    kept = started.start(command=[sys.executable, "-m", "jupyter_alc.vmm.kept"])
    started.says(kept, "VMM answers at")
    kept.send_signal(signal.SIGINT)
    assert kept.wait(20) == 0
    assert "VMM ends; machines live on" in started.logs[kept.pid].read_text()


def test_a_mistake_in_the_machine_types_is_told_with_file_line_and_cure(started: Started) -> None:
    path = started.folder / "types.yaml"
    path.write_text("- id: small\n  cores: many\n")
    process = started.start(ALC_MACHINE_TYPES=str(path))
    assert process.wait(40) == 2
    said = started.logs[process.pid].read_text()
    assert f"{path}, line 2: cores is not a whole number. Write digits only." in said
    assert "Traceback" not in said


def test_a_port_that_is_taken_is_told(started: Started) -> None:
    first = started.start()
    port = started.says(first, "VMM answers at").split(":")[-1].split("/")[0]
    other = started.start(ALC_VMM_PORT=port, ALC_STATE=str(started.folder / "other"))
    assert other.wait(40) == 2
    assert f"Cannot listen on 127.0.0.1:{port}" in started.logs[other.pid].read_text()
