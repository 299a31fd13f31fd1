from __future__ import annotations

from pathlib import Path

import pytest

from jupyter_alc.core.errors import Missing, NoSpace, Unavailable
from jupyter_alc.piezo.options import MEBIBYTE, ClusterOptions
from jupyter_alc.piezo.plan import ClusterPlan, Ground, Ports, ProcessPlan, Secrets, Software, standalone_spark
from jupyter_alc.piezo.reasons import port_was_taken, waiting_words, why_it_ended
from jupyter_alc.piezo.sockets import parse_table

pytestmark = pytest.mark.unit

FOLDER = Path("/state/clusters/c1")
SERVER = {
    "HOME": "/home/ada",
    "USER": "ada",
    "PATH": "/usr/bin",
    "ALC_DMS_SOCKET": "/run/alc/dms/dms.sock",
    "JUPYTERHUB_API_TOKEN": "hub-token",
    "PYTHONPATH": "/somewhere",
    "SPARK_CONF_DIR": "/elsewhere",
}


def plan(workers: int = 2) -> ClusterPlan:
    options = ClusterOptions(workers, 2, 768 * MEBIBYTE, "spark")
    software = Software(Path("/usr/bin/java"), Path("/env/pyspark"), Path("/env/bin/python"))
    ground = Ground(Ports(1001, 1002, 1003, 1004), Secrets("the-rpc-secret", "the-token"), software, SERVER)
    return standalone_spark(FOLDER, options, ground)


def programs() -> list[ProcessPlan]:
    made = plan()
    return [made.master, *made.workers, made.connect]


def settings() -> dict[str, str]:
    text = plan().files[FOLDER / "conf/spark-defaults.conf"]
    return dict(line.split(" ", 1) for line in text.splitlines())


def test_no_secret_is_an_argument():
    words = [word for program in programs() for word in program.arguments]
    assert not any("secret" in word or "token" in word for word in words)


def test_only_the_connect_server_gets_the_token():
    holders = [program.role for program in programs() if "the-token" in program.environment.values()]
    assert holders == ["connect"]


def test_no_process_gets_a_token_of_the_hub_or_a_foreign_python_path():
    for program in programs():
        assert "hub-token" not in program.environment.values()
        assert "PYTHONPATH" not in program.environment
        assert program.environment["ALC_CLUSTER"] == str(FOLDER)
        assert program.environment["SPARK_CONF_DIR"] == str(FOLDER / "conf")


def test_executors_are_told_where_the_data_daemon_answers():
    assert settings()["spark.executorEnv.ALC_DMS_SOCKET"] == "/run/alc/dms/dms.sock"


def test_everything_is_closed_that_must_be():
    wanted = {
        "spark.authenticate": "true",
        "spark.authenticate.secret": "the-rpc-secret",
        "spark.master.rest.enabled": "false",
        "spark.master.ui.decommission.allow.mode": "DENY",
        "spark.ui.killEnabled": "false",
        "spark.port.maxRetries": "0",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.connect.grpc.binding.address": "127.0.0.1",
    }
    assert wanted.items() <= settings().items()


def test_the_token_is_not_in_the_settings():
    assert "the-token" not in plan().files[FOLDER / "conf/spark-defaults.conf"]


def test_workers_have_what_was_asked_and_the_user_may_find_all_of_it():
    worker = plan().workers[1]
    assert worker.role == "worker-2"
    assert worker.arguments[worker.arguments.index("--cores") :][:4] == ("--cores", "2", "--memory", "768m")
    assert settings()["spark.executor.memory"] == "768m"
    assert settings()["spark.cores.max"] == "4"


def test_repr_shows_no_secret():
    assert "the-" not in repr(plan())


@pytest.mark.parametrize(
    ("code", "log", "kind", "words"),
    [
        (1, "java.io.IOException: No space left on device", NoSpace, "disk full"),
        (1, "java.lang.OutOfMemoryError: Java heap space", Unavailable, "memory"),
        (-9, "", Unavailable, "memory"),
        (1, "UnsupportedClassVersionError", Missing, "older"),
        (1, "java.net.BindException: Address already in use", Unavailable, "port"),
        (3, "whatever", Unavailable, "with code 3"),
    ],
)
def test_an_unexpected_end_is_explained(code: int, log: str, kind: type[Exception], words: str):
    error = why_it_ended("connect", code, log, Path("/logs/connect.log"))
    assert isinstance(error, kind)
    assert words in error.sentence
    assert error.next_step


def test_a_taken_port_is_known_from_the_log():
    assert port_was_taken("x\njava.net.BindException: Address already in use\n")
    assert not port_was_taken("fine")


def test_waiting_always_has_a_reason():
    assert waiting_words(master=False, workers=0, wanted=2, connect=False) == "waiting for Spark's master"
    assert (
        waiting_words(master=True, workers=1, wanted=2, connect=False) == "master up, 1 of 2 workers, Connect starting"
    )


def test_the_kernels_table_of_sockets_is_read():
    text = (
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
        "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  0 0 4711 1 0 100 0\n"
        "   1: 00000000:07E8 0100007F:9999 01 00000000:00000000 00:00000000 00000000  0 0 4712 1 0 100 0\n"
    )
    listening, other = parse_table(text)
    assert (listening.address, listening.port, listening.listening, listening.loopback) == (
        "127.0.0.1",
        8080,
        True,
        True,
    )
    assert (other.address, other.established, other.loopback) == ("0.0.0.0", True, False)
    six = text.replace("0100007F:1F90", "0000000000000000FFFF00000100007F:1F90")
    assert parse_table(six)[0].loopback
    assert parse_table(text.replace("0100007F:1F90", "00000000000000000000000001000000:1F90"))[0].address == "::1"
