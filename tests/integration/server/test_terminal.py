"""The verbs of `alc` in a terminal of a real server."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

pytestmark = pytest.mark.integration

PROGRAM = """
import sys
from jupyter_alc.cli import main
sys.exit(main())
"""


def alc(server: Any, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    given = {**server.environment, "JPY_PARENT_PID": str(server.process.pid), **environment}
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, *words],
        check=False,
        env=given,
        cwd=server.folder,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_tables_for_people_and_json_for_programs(server: Any) -> None:
    told = alc(server, "dms", "status")
    assert (told.returncode, told.stderr) == (0, "")
    assert "results" in told.stdout
    assert json.loads(alc(server, "dms", "status", "--json").stdout)["datasets"][0]["id"] == "results"
    assert "run/" in alc(server, "dms", "ls", "results").stdout
    assert json.loads(alc(server, "vmm", "status", "--json").stdout)["machine"]["type"] == "small"


def test_the_verbs_of_data_are_those_of_the_notebook(server: Any) -> None:
    assert "about" in alc(server, "dms", "plan", "results").stdout
    fetched = alc(server, "dms", "fetch", "results/run", "--json")
    assert (fetched.returncode, fetched.stderr) == (0, "")
    told = json.loads(fetched.stdout)
    assert told["state"] == "done"
    begun = alc(server, "dms", "fetch", "results/more", "--no-wait", "--limit", "1kB")
    assert "alc dms cancel" in begun.stdout
    listed = json.loads(alc(server, "dms", "transfers", "--json").stdout)
    assert told["id"] in [one["id"] for one in listed]
    assert alc(server, "dms", "cancel", listed[0]["id"]).returncode == 0
    assert "fetched" in alc(server, "dms", "history").stdout
    assert "Nobody" in alc(server, "dms", "notebooks").stdout


def test_a_cluster_from_start_to_stop(server: Any) -> None:
    started = alc(server, "piezo", "start", "--name", "typed", "--json")
    assert started.returncode == 0, started.stderr
    assert json.loads(started.stdout)["state"] == "ready"
    assert "starting" in started.stderr
    assert "running already" in alc(server, "piezo", "start", "--name", "typed").stdout
    assert "typed" in alc(server, "piezo", "status").stdout
    assert "is gone" in alc(server, "piezo", "stop", "--name", "typed").stdout


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("dms", "ls", "results/none"), 1),
        (("piezo", "stop", "--name", "nobody"), 1),
        (("piezo", "start", "--name", "nine", "--workers", "9"), 1),
        (("piezo", "start", "--workers", "two"), 2),
        (("dms", "sing"), 2),
        (("dms", "plan", "results/none"), 1),
        (("dms", "cancel", "transfer-99"), 1),
        (("dms", "fetch"), 2),
        (("dms", "ls", "one", "\x1b[31mtwo"), 2),
        (("dms", "flush", "--deadline", "inf"), 1),
        (("dms", "flush", "--deadline", "1e308"), 1),
    ],
)
def test_what_cannot_be_done_is_one_line_on_stderr_and_a_code(server: Any, words: tuple[str, ...], code: int) -> None:
    told = alc(server, *words)
    assert (told.returncode, told.stdout) == (code, "")
    assert "Traceback" not in told.stderr
    assert "\x1b" not in told.stderr
    assert code == 2 or len(told.stderr.splitlines()) == 1


def test_without_a_server_the_line_says_what_to_do(server: Any) -> None:
    told = alc(server, "dms", "status", JUPYTER_RUNTIME_DIR=str(server.folder / "nothing"))
    assert told.returncode == 1
    assert "ALC_SERVER_URL" in told.stderr
