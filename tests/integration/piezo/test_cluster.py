from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from jupyter_alc.core.errors import Denied, Unavailable
from jupyter_alc.core.states import ClusterState
from jupyter_alc.piezo import processes, sockets
from jupyter_alc.piezo.frameworks.spark import SparkFramework
from jupyter_alc.testing.backends import find, run

if TYPE_CHECKING:
    from collections.abc import Callable

    from jupyter_alc.piezo.frameworks import Progress
    from jupyter_alc.piezo.record import Cluster

Ground = Any  # see conftest.py
DMS_SOCKET = "/run/alc/dms/some.sock"

pytestmark = [pytest.mark.integration, pytest.mark.spark, pytest.mark.timeout(300)]


def token_of(connection: dict[str, str]) -> str:
    return connection["connect_url"].partition("token=")[2]


def secret_of(folder: Path) -> str:
    lines = (folder / "conf/spark-defaults.conf").read_text().splitlines()
    return dict(line.split(" ", 1) for line in lines)["spark.authenticate.secret"]


def role(pid: int) -> str:
    words = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
    known = {
        "Master": "master",
        "Worker": "worker",
        "SparkSubmit": "connect",
        "CoarseGrainedExecutorBackend": "executor",
    }
    return next((known[end] for word in words if (end := word.rpartition(".")[2]) in known), "python")


def ask(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=20) as answer:
        return answer.read().decode()


def test_a_python_function_runs_on_an_executor_with_this_python(ground: Ground, spark: Any, cluster: Cluster):
    def where(number):
        told = {name: os.environ.get(name) for name in ("ALC_CLUSTER", "ALC_DMS_SOCKET", "JUPYTERHUB_API_TOKEN")}
        return json.dumps({"number": number, "python": sys.executable, **told})

    from pyspark.sql.functions import udf

    rows = spark.range(0, 4, 1, 2).select(udf(where, "string")("id").alias("told")).collect()
    told = [json.loads(row.told) for row in rows]
    assert [each["number"] for each in told] == [0, 1, 2, 3]
    assert {each["ALC_CLUSTER"] for each in told} == {str(ground.folder(cluster))}
    assert {each["ALC_DMS_SOCKET"] for each in told} == {DMS_SOCKET}
    assert {each["JUPYTERHUB_API_TOKEN"] for each in told} == {None}
    assert {Path(each["python"]).resolve() for each in told} == {Path(sys.executable).resolve()}


def test_executors_are_counted(ground: Ground, cluster: Cluster, spark: Any):
    seen = run(ground.clusters.get(cluster.id)).as_json()
    assert seen["state"] == "ready"
    assert seen["executors"] == {"running": 1, "wanted": 1}
    assert seen["name"] == "beamline"
    assert seen["ui"] is True


def test_progress_is_told_and_the_bar_closes_itself(spark: Any):
    seen: list[Progress] = []
    end = SparkFramework().on_progress(spark, seen.append)
    from pyspark.sql.functions import udf

    spark.range(0, 4, 1, 4).select(udf(lambda number: time.sleep(1) or number, "long")("id")).collect()
    end()
    assert seen[-1].done
    assert seen[-1].tasks == seen[-1].tasks_done > 0
    told = len(seen)
    spark.range(10).count()
    assert len(seen) == told


def test_an_interrupt_ends_a_running_query(spark: Any):
    framework = SparkFramework()

    def slow() -> None:
        from pyspark.sql.functions import udf

        spark.range(0, 2, 1, 2).select(udf(lambda _: time.sleep(60), "string")("id")).collect()

    errors: list[BaseException] = []

    def work() -> None:
        try:
            slow()
        except Exception as error:  # noqa: BLE001  (whatever it is, the test looks at it)
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    until = time.monotonic() + 30
    while not framework.interrupt(spark) and time.monotonic() < until:
        time.sleep(0.3)
    thread.join(30)
    assert not thread.is_alive()
    assert "CANCEL" in str(errors[0])


def test_a_session_is_found_again_by_its_name(connection: dict[str, str]):
    framework = SparkFramework()
    first = framework.connect(connection["connect_url"], name="notebook")
    first.range(3).createOrReplaceTempView("kept")
    again = framework.connect(connection["connect_url"], name="notebook")
    assert again.table("kept").count() == 3
    again.stop()
    anew = framework.connect(connection["connect_url"], name="notebook")
    assert not anew.catalog.tableExists("kept")
    anew.stop()


@pytest.mark.parametrize("token", ["wrong", ""])
def test_a_wrong_or_missing_token_is_refused_at_once(connection: dict[str, str], token: str):
    url = connection["connect_url"].replace(token_of(connection), token)
    began = time.monotonic()
    with pytest.raises(Denied):
        SparkFramework().connect(url, name="thief", deadline_seconds=20)
    assert time.monotonic() - began < 15


def test_a_proxy_of_the_callers_environment_is_not_asked(connection: dict[str, str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")  # nobody answers there
    session = SparkFramework().connect(connection["connect_url"], name="behind-a-proxy", deadline_seconds=20)
    assert session.range(7).count() == 7
    session.stop()


def test_a_port_where_nobody_answers_is_told_within_the_deadline():
    [port] = sockets.free_ports(1)
    with pytest.raises(Unavailable):
        SparkFramework().connect(f"sc://localhost:{port}/;token=x", name="x", deadline_seconds=5)


def test_everything_listens_on_loopback_and_the_submission_port_is_closed(ground: Ground, cluster: Cluster, spark: Any):
    held = [row for row in sockets.held_by(processes.marked(ground.folder(cluster))) if row.listening]
    assert len(held) >= 5
    assert [row for row in held if not row.loopback] == []
    assert 6066 not in {row.port for row in held}


def test_the_connect_port_is_ours_on_both_loopback_addresses(connection: dict[str, str]):
    port = int(connection["connect_url"].split(":")[2].split("/")[0])
    socket.create_connection(("127.0.0.1", port), 5).close()
    if sockets.has_ipv6_loopback():
        socket.create_connection(("::1", port), 5).close()


def test_no_secret_is_in_any_command_line(ground: Ground, cluster: Cluster, connection: dict[str, str], spark: Any):
    secrets = [token_of(connection).encode(), secret_of(ground.folder(cluster)).encode()]
    pids = processes.marked(ground.folder(cluster))
    assert {"master", "worker", "connect", "executor"} <= {role(pid) for pid in pids}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            assert not any(secret in words for secret in secrets), entry


def test_no_secret_is_on_the_ui_in_the_event_log_or_in_a_log(
    ground: Ground, cluster: Cluster, connection: dict[str, str], spark: Any
):
    folder = ground.folder(cluster)
    secrets = [token_of(connection), secret_of(folder)]
    ui = connection["ui_url"]
    application = json.loads(ask(f"{ui}/api/v1/applications"))[0]["id"]
    told = [ask(f"{ui}/environment/"), ask(f"{ui}/api/v1/applications/{application}/environment")]
    told += [each.read_text(errors="replace") for each in (folder / "logs").iterdir()]
    told.append(ground.events(cluster))
    assert any("SparkListenerEnvironmentUpdate" in text for text in told)
    assert not [secret for secret in secrets for text in told if secret in text]
    assert spark.conf.get("spark.connect.authenticate.token", "none") == "none"


def test_the_folder_is_for_its_owner_alone(ground: Ground, cluster: Cluster):
    folder = ground.folder(cluster)
    assert folder.stat().st_mode & 0o077 == 0
    assert Path(cluster.record.socket).stat().st_mode & 0o077 == 0
    inside = [*(folder / "conf").iterdir(), *(folder / "logs").iterdir(), folder / "conf"]
    assert [each for each in inside if each.stat().st_mode & 0o077] == []


def test_a_submission_without_the_secret_is_refused(ground: Ground, cluster: Cluster, tmp_path: Path, spark: Any):
    master = next(
        word
        for pid in processes.marked(ground.folder(cluster))
        if role(pid) == "worker"
        for word in cmdline(pid)
        if word.startswith("spark://")
    )
    script = tmp_path / "job.py"
    script.write_text(
        "from pyspark.sql import SparkSession\nprint(SparkSession.builder.getOrCreate().range(5).count())\n"
    )
    software = SparkFramework().software()
    bare = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "PYSPARK_PYTHON": sys.executable,
        "JDK_JAVA_OPTIONS": f"-Djava.io.tmpdir={tmp_path} -XX:-UsePerfData",  # it is killed and tidies nothing
    }
    before = applications(ground, cluster)
    asked = subprocess.Popen(
        [software.spark / "bin/spark-submit", "--conf", "spark.ui.enabled=false", "--master", master, script],
        env=bare,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    told = ""
    deadline = threading.Timer(90, lambda: os.killpg(asked.pid, signal.SIGKILL))
    deadline.start()
    assert asked.stdout is not None
    for line in asked.stdout:
        told += line
        if "Failed to connect to master" in line or "All masters are unresponsive" in line:
            break
    os.killpg(asked.pid, signal.SIGKILL)
    deadline.cancel()
    asked.stdout.close()
    asked.wait()
    assert "Failed to connect to master" in told or "unresponsive" in told, told[-2000:]
    assert applications(ground, cluster) == before


def cmdline(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")


def applications(ground: Ground, cluster: Cluster) -> list[str]:
    words = next(cmdline(pid) for pid in processes.marked(ground.folder(cluster)) if role(pid) == "master")
    told = json.loads(ask(f"http://127.0.0.1:{words[words.index('--webui-port') + 1]}/json/"))
    return [each["id"] for each in told["activeapps"]]


def test_numbers_for_prometheus_have_names_that_do_not_change(connection: dict[str, str]):
    assert "metrics_piezo_driver_" in ask(f"{connection['ui_url']}/metrics/prometheus/")
    assert "executor_id" in ask(f"{connection['ui_url']}/metrics/executors/prometheus")


def test_the_whole_cluster_fits_a_small_machine(ground: Ground, cluster: Cluster, spark: Any):
    by_role: dict[str, float] = {}
    for pid in processes.marked(ground.folder(cluster)):
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
        pss = next(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:"))
        by_role[role(pid)] = by_role.get(role(pid), 0) + pss / 1024
    print("\nPSS in MB:", {name: round(size) for name, size in by_role.items()}, "sum", round(sum(by_role.values())))
    assert sum(by_role.values()) < 2400


@pytest.mark.root
def test_another_users_process_is_refused_by_the_socket(cluster: Cluster):
    code = (
        "import os, socket, sys\n"
        "s = socket.socket(socket.AF_UNIX); os.chdir(os.path.dirname(sys.argv[1]))\n"
        "fd = os.open('.', os.O_RDONLY); os.setgid(65534); os.setuid(65534)\n"
        "s.connect(os.path.basename(sys.argv[1])); s.sendall(b'GET /v1/connection HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n')\n"
        "print(s.recv(4096).decode())\n"
    )
    path = Path(cluster.record.socket)
    path.chmod(0o666)
    path.parent.chmod(0o711)
    try:
        told = subprocess.run(
            [sys.executable, "-I", "-c", code, path], capture_output=True, text=True, timeout=30, check=False
        )
    finally:
        path.chmod(0o600)
        path.parent.chmod(0o700)
    assert "403" in told.stdout, told
    assert "token" not in told.stdout


def test_a_worker_that_dies_is_started_again(ground: Ground, cluster: Cluster, spark: Any):
    [worker] = [pid for pid in processes.marked(ground.folder(cluster)) if role(pid) == "worker"]
    os.kill(worker, signal.SIGKILL)
    until = time.monotonic() + 60
    while (
        worker in (workers := [pid for pid in processes.marked(ground.folder(cluster)) if role(pid) == "worker"])
        or not workers
    ):
        assert time.monotonic() < until
        time.sleep(0.2)
    assert spark.range(0, 100, 1, 2).selectExpr("sum(id)").collect()[0][0] == 4950
    assert run(ground.clusters.get(cluster.id)).state is ClusterState.READY


def test_kill_9_of_the_supervisor_leaves_no_process_and_the_next_look_says_lost(own_ground: Callable[..., Ground]):
    ground = own_ground()
    cluster = ground.start("orphaned", cores_per_worker=1, memory_per_worker="512m")
    [supervisor] = [pid for pid in all_pids() if cmdline(pid)[-2:-1] == [str(ground.folder(cluster))]]
    assert len(processes.marked(ground.folder(cluster))) >= 4
    os.kill(supervisor, signal.SIGKILL)
    until = time.monotonic() + 30
    while processes.marked(ground.folder(cluster)):  # nobody looks at the list: the operating system and Spark do this
        assert time.monotonic() < until, [cmdline(pid)[:3] for pid in processes.marked(ground.folder(cluster))]
        time.sleep(0.2)
    gone = find(ground.backend, cluster.id)
    assert (gone.state, gone.record.ending) == (ClusterState.GONE, "lost")
    assert not (ground.folder(cluster) / "conf").exists()
    assert [each.id for each in run(ground.clusters.list())] == [
        cluster.id
    ]  # told for a while, because nobody asked for it


def all_pids() -> list[int]:
    return [
        int(entry.name)
        for entry in Path("/proc").iterdir()
        if entry.name.isdigit() and b"jupyter_alc.piezo" in words_of(entry)
    ]


def words_of(entry: Path) -> bytes:
    try:
        return (entry / "cmdline").read_bytes()
    except OSError:
        return b""


CLIENT = """
import pathlib, sys, time
from pyspark.sql.functions import udf
from jupyter_alc.piezo.frameworks.spark import SparkFramework
spark = SparkFramework().connect(sys.stdin.readline().strip(), name="kernel")
begun = sys.argv[1]
slow = udf(lambda n: pathlib.Path(begun).touch() or time.sleep(18) or n, "long")
spark.range(0, 1, 1, 1).select(slow("id")).collect()
print("done", flush=True)
spark.range(0, 1, 1, 1).select(udf(lambda n: time.sleep(120) or n, "long")("id")).collect()
"""


def test_a_living_query_keeps_a_lease_and_a_vanished_client_does_not(own_ground: Callable[..., Ground], tmp_path: Path):
    ground = own_ground(ALC_PIEZO_LEASE_SECONDS="6")
    cluster = ground.start("leased", cores_per_worker=1, memory_per_worker="512m")
    kernel = subprocess.Popen(
        [sys.executable, "-c", CLIENT, str(tmp_path / "begun")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
    )
    assert kernel.stdin is not None
    assert kernel.stdout is not None
    try:
        run(ground.clusters.renew(cluster.id))
        kernel.stdin.write(run(ground.clusters.connection(cluster.id))["connect_url"] + "\n")
        kernel.stdin.close()
        until = time.monotonic() + 120
        while not (tmp_path / "begun").exists():  # until its query runs, the owner's server is heard from
            assert time.monotonic() < until
            time.sleep(0.5)
            run(ground.clusters.renew(cluster.id))
        assert kernel.stdout.readline() == "done\n"  # a query three times as long as the lease, renewed by nobody
    finally:
        kernel.kill()  # in the middle of the next query
        kernel.wait()
        kernel.stdout.close()
    vanished = time.monotonic()
    gone = ground.gone(cluster.id, seconds=60)
    assert gone.record.ending == "lease"
    print(f"\nnothing left {time.monotonic() - vanished:.1f} s after the client vanished, lease 6 s")
