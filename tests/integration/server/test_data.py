"""The real data service behind a real server: what the description says is what it tells."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from tests.integration.server.conftest import (
    HERE,
    Running,
    as_described,
    jupyter_environment,
    start_server,
    stop_server,
)
from tests.integration.server.test_spark import remove_sockets, short_folder

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def with_data(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder, short = tmp_path_factory.mktemp("data"), short_folder()
    archive = folder / "archive"
    (archive / "run").mkdir(parents=True)
    (archive / "run" / "a.txt").write_text("twelve bytes")
    socket = short / "dms.sock"
    dataset = {"id": "mine", "title": "Mine <i>", "adapter": "local", "url": f"file://{archive}", "access": "write"}
    order = {
        "user": "ada",
        "mount": None,
        "socket": str(socket),
        "volume": str(folder / "volume"),
        "admit_uids": [os.getuid()],
        "files_uid": os.getuid(),
        "files_gid": os.getgid(),
        "run_as_uid": None,
        "run_as_gid": None,
        "quota_bytes": 2**30,
        "datasets": [{**dataset, "where": "", "size_bytes": None, "published": True, "credentials": {}}],
    }
    environment = jupyter_environment(folder, ALC_DMS_SOCKET=str(socket))
    with (folder / "daemon.log").open("wb") as log:
        daemon = subprocess.Popen(
            [sys.executable, "-m", "jupyter_alc.dms.daemon"],
            env=environment,
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
        )
    assert daemon.stdin is not None
    assert daemon.stdout is not None
    running: Running | None = None
    try:
        daemon.stdin.write(json.dumps(order).encode() + b"\n")
        daemon.stdin.close()
        told = json.loads(daemon.stdout.readline())
        assert told["ready"], (told, (folder / "daemon.log").read_text())
        config = folder / "config" / "jupyter_server_config.py"
        config.write_text('c.ServerApp.jpserver_extensions = {"jupyter_alc": True}\n')
        running = start_server(folder, environment)
        yield running, daemon
    finally:
        if running is not None:
            stop_server(running)
        daemon.terminate()
        daemon.wait(30)
        daemon.stdout.close()
        remove_sockets(short)


def test_the_data_service_tells_what_the_description_says(with_data: Any) -> None:
    server, _ = with_data
    told = server.alc("GET", "data").json
    as_described(told, "Data")
    assert told["datasets"][0]["id"] == "mine"
    entries = server.alc("GET", "data/ls?path=mine/run").json["entries"]
    as_described(entries[0], "Entry")
    assert (entries[0]["name"], entries[0]["size"]) == ("a.txt", 12)
    assert server.alc("POST", "data/flush", {"deadline_seconds": 5}).json["unsent"] == []


def test_a_large_folder_is_told_in_parts(with_data: Any) -> None:
    server, _ = with_data
    (server.folder / "archive" / "many").mkdir()
    for name in "abc":
        (server.folder / "archive" / "many" / name).write_text(name)
    first = server.alc("GET", "data/ls?path=mine/many&limit=2").json
    assert ([one["name"] for one in first["entries"]], first["next"]) == (["a", "b"], "b")
    last = server.alc("GET", f"data/ls?path=mine/many&limit=2&after={first['next']}").json
    assert ([one["name"] for one in last["entries"]], last["next"]) == (["c"], None)
    assert server.alc("GET", "data/ls?path=mine/many&limit=0").json["field"] == "limit"


def test_a_refresh_asks_the_archive_at_once(with_data: Any) -> None:
    """N15: whatever was believed, which is for a minute in a published dataset."""
    server, _ = with_data

    def names() -> list[str]:
        return [one["name"] for one in server.alc("GET", "data/files?path=mine/run").json["entries"]]

    before = names()
    (server.folder / "archive" / "run" / "new.txt").write_text("new")
    assert names() == before
    assert server.alc("POST", "data/refresh", {"path": "mine/run"}).status == 200
    assert names() == [*before, "new.txt"]
    assert server.alc("POST", "data/refresh").status == 200, "the tops of all datasets"
    gone = server.alc("POST", "data/refresh", {"path": "mine/never"})
    as_described(gone.json, "Error")
    assert gone.status == 404


def test_a_folder_that_is_not_there_is_told_in_our_words(with_data: Any) -> None:
    server, _ = with_data
    answer = server.alc("GET", "data/ls?path=mine/nothing")
    as_described(answer.json, "Error")
    assert answer.status == 404


def test_the_terminal_tells_the_same_story(with_data: Any) -> None:
    server, _ = with_data
    environment = {**server.environment, "JPY_PARENT_PID": str(server.process.pid)}
    program = "import sys; from jupyter_alc.cli import main; sys.exit(main())"
    told = subprocess.run(
        [sys.executable, "-c", program, "dms", "ls", "mine/run"],
        check=True,
        env=environment,
        cwd=HERE,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "a.txt" in told.stdout
    assert "12 B" in told.stdout


def test_a_data_service_that_is_gone_is_not_told_as_no_data(with_data: Any) -> None:
    server, daemon = with_data
    daemon.kill()
    daemon.wait(10)
    answer = server.alc("GET", "data")
    assert (answer.status, answer.json["code"]) == (503, "unavailable")
