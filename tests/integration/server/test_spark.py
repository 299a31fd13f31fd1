"""A real cluster from a real kernel of a real server: start, work, find again, look at, stop."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest

from jupyter_alc.core.settings import Places
from jupyter_alc.core.states import ClusterState
from jupyter_alc.piezo.clusters import Clusters
from tests.integration.server.conftest import Running, as_described, jupyter_environment, start_server, stop_server
from tests.integration.server.test_kernel import Kernel

pytestmark = [pytest.mark.spark, pytest.mark.timeout(400)]

PAGES = ("jobs/", "stages/", "storage/", "environment/", "executors/", "SQL/", "connect/", "api/v1/applications")
SMALL = "--workers 1 --cores 1 --memory 512m"

# Spark Connect reports twice a second, so a bar is promised only for a query that takes longer.
LONGER_THAN_A_REPORT = (
    "spark.range(0, 8_000_000, 1, 4).selectExpr('sum(length(sha2(cast(id as string), 256))) as s').first().s"
)


def leave_nothing(environment: dict[str, str]) -> None:
    """End whatever cluster a failed test left."""

    async def end() -> None:
        clusters = Clusters(Places.from_environment(environment), environment=environment)
        for one in await clusters.list():
            if one.state is not ClusterState.GONE:
                await clusters.stop(one.id)
                for _ in range(100):
                    if (await clusters.get(one.id)).state is ClusterState.GONE:
                        break
                    await asyncio.sleep(0.2)

    asyncio.run(end())


def short_folder() -> Path:
    """A runtime folder with a short path: a socket's has at most 107 characters."""
    return Path(tempfile.mkdtemp(prefix="alc-t-"))


def remove_sockets(runtime: Path) -> None:
    """Remove such a folder."""
    shutil.rmtree(runtime, ignore_errors=True)


@pytest.fixture(scope="module")
def real_server(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("s")
    runtime = short_folder()
    environment = jupyter_environment(folder, XDG_RUNTIME_DIR=str(runtime), XDG_STATE_HOME=str(folder / "state"))
    config = folder / "config" / "jupyter_server_config.py"
    config.write_text('c.ServerApp.jpserver_extensions = {"jupyter_alc": True}\n')
    running = start_server(folder, environment)
    try:
        yield running
    finally:
        stop_server(running)
        leave_nothing(environment)
        remove_sockets(runtime)


def logs_are_read_through_ones_own_server(server: Running, ui: str) -> None:
    application = server.alc("GET", f"{ui}/api/v1/applications").json[0]["id"]
    told = server.alc("GET", f"{ui}/api/v1/applications/{application}/allexecutors").json
    links = {one["id"]: one["executorLogs"] for one in told if one["executorLogs"]}
    assert links, told
    for executor, kinds in links.items():
        assert set(kinds) == {"stdout", "stderr"}
        for kind, link in kinds.items():
            assert link.endswith(f"/jupyter-alc/v1/{ui}/executor-logs/{executor}/{kind}")
            answer = server.alc("GET", f"{ui}/executor-logs/{executor}/{kind}")
            assert answer.status == 200
            assert answer.headers["Content-Type"].startswith("text/plain")
    assert b"Executor" in server.alc("GET", f"{ui}/executor-logs/{next(iter(links))}/stderr").body
    assert server.alc("GET", f"{ui}/executor-logs/77/stderr").json["code"] == "not_found"


def test_a_cluster_lives_through_a_kernel_and_goes_when_asked(real_server: Running) -> None:
    kernel = Kernel(real_server)
    kernel.run("%load_ext jupyter_alc")
    begun = kernel.shown(f"%piezo start --name mine {SMALL}", seconds=300)
    assert "Cluster mine is ready" in begun["text/plain"]
    assert "sc://" not in str(begun)

    reply, outputs = kernel.run(LONGER_THAN_A_REPORT, seconds=120)
    assert reply["status"] == "ok", reply
    texts = [one["data"]["text/plain"] for one in outputs if "data" in one and "text/plain" in one["data"]]
    assert "512000000" in texts
    assert any(text.startswith("Spark: ") and "tasks" in text for text in texts)

    reply, outputs = kernel.run("spark.range(0, 4, 1, 2).selectExpr('assert_true(id < 0)').collect()", seconds=120)
    assert reply["status"] == "error"
    bars = [one["data"]["text/plain"] for one in outputs if one["kind"] == "update_display_data"]
    assert not bars or bars[-1].endswith("the cell failed")

    cluster = real_server.alc("GET", "piezo/clusters").json["clusters"][0]
    as_described(cluster, "Cluster")
    assert (cluster["name"], cluster["state"]) == ("mine", "ready")
    for page in PAGES:
        answer = real_server.alc("GET", f"piezo/clusters/{cluster['id']}/ui/{page}")
        assert answer.status == 200, page
    jobs = real_server.alc("GET", f"piezo/clusters/{cluster['id']}/ui/jobs/").body.decode()
    assert "/a%40b/jupyter-alc/v1/piezo/clusters/" in jobs
    assert 'href="/jobs' not in jobs
    logs_are_read_through_ones_own_server(real_server, f"piezo/clusters/{cluster['id']}/ui")
    script = real_server.alc("GET", f"piezo/clusters/{cluster['id']}/ui/static/jquery.min.js").body.decode()
    assert "X-XSRFToken" in script
    kernel.close()

    kernel = Kernel(real_server)
    kernel.run("%load_ext jupyter_alc")
    assert "running already" in kernel.shown("%piezo start --name mine", seconds=60)["text/plain"]
    assert kernel.shown("spark.range(10).count()", seconds=60)["text/plain"] == "10"
    assert "is gone" in kernel.shown("%piezo stop --name mine", seconds=120)["text/plain"]
    assert kernel.run("spark")[0]["ename"] == "NameError"
    assert "No cluster" in kernel.shown("%piezo status")["text/plain"]
    kernel.close()
