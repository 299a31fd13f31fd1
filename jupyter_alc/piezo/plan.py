"""From options to programs: the processes of a standalone Spark cluster, with their files, arguments and environment.

Pure: nothing here touches the computer. Secrets go into a file or an environment, never into an argument.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from jupyter_alc.core.settings import DMS_SOCKET_VARIABLE
from jupyter_alc.piezo.options import ClusterOptions, memory_words

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

MARK: Final = "ALC_CLUSTER"  # every process of a cluster carries it in its environment, with the folder of its record
TOKEN_VARIABLE: Final = "SPARK_CONNECT_AUTHENTICATE_TOKEN"  # noqa: S105  (the variable's name)

# what processes of a cluster inherit from the user's server; no token of the Hub or of Jupyter is among it
INHERITED: Final = (
    "HOME",
    "USER",
    "LOGNAME",
    "PATH",
    "LANG",
    "LC_ALL",
    "TZ",
    "XDG_RUNTIME_DIR",
    "JAVA_HOME",
    DMS_SOCKET_VARIABLE,
    "ALC_CATALOGUE",
    "ALC_CACHE",
    "ALC_MACHINE_KEY",  # by these two a machine without a sandbox finds, at its end, what was started on it
    "ALC_ALLOCATION",
)

# what Spark's own starter passes to Java 17, without the incubating vector module, which would cost start time
_OPEN: Final = (
    *(
        f"--add-opens=java.base/{package}=ALL-UNNAMED"
        for package in (
            "java.lang",
            "java.lang.invoke",
            "java.lang.reflect",
            "java.io",
            "java.net",
            "java.nio",
            "java.util",
            "java.util.concurrent",
            "java.util.concurrent.atomic",
            "jdk.internal.ref",
            "sun.nio.ch",
            "sun.nio.cs",
            "sun.security.action",
            "sun.util.calendar",
        )
    ),
    "--add-opens=java.security.jgss/sun.security.krb5=ALL-UNNAMED",
    "-XX:+IgnoreUnrecognizedVMOptions",
    "-Dio.netty.tryReflectionSetAccessible=true",
    "-Dio.netty.allocator.type=pooled",
)
# one compiler tier and a serial collector: half the processor time until the port answers; executors need peak speed
_LIGHT: Final = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData")


@dataclass(frozen=True, slots=True)
class Ports:
    """Loopback ports, chosen by the operating system just before the start."""

    master: int
    master_ui: int
    connect: int
    ui: int


@dataclass(frozen=True, slots=True)
class Secrets:
    """Made for one cluster, ending with it; not shown by `repr`."""

    rpc: str = field(repr=False)
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Software:
    """Where the programs lie: Java's program, the folder of Spark, and the Python of server and executors."""

    java: Path
    spark: Path
    python: Path


@dataclass(frozen=True, slots=True)
class Ground:
    """What a plan is made on: ports, secrets, software, and the environment of the user's server."""

    ports: Ports
    secrets: Secrets
    software: Software
    inherited: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class ProcessPlan:
    """One program: its role, arguments, whole environment and log file."""

    role: str
    arguments: tuple[str, ...]
    environment: Mapping[str, str] = field(repr=False)
    log: Path


@dataclass(frozen=True, slots=True)
class ClusterPlan:
    """All of one attempt: folders to make, files to write (0600), programs to start in this order."""

    folders: tuple[Path, ...]
    files: Mapping[Path, str] = field(repr=False)
    master: ProcessPlan
    workers: tuple[ProcessPlan, ...]
    connect: ProcessPlan


def standalone_spark(folder: Path, options: ClusterOptions, ground: Ground) -> ClusterPlan:
    """Plan master, workers and Connect server of one cluster below `folder`, all on loopback."""
    ports, software, inherited = ground.ports, ground.software, ground.inherited
    conf, scratch, logs = folder / "conf", folder / "scratch", folder / "logs"
    environment = {
        **{name: inherited[name] for name in INHERITED if inherited.get(name)},
        MARK: str(folder),
        "SPARK_HOME": str(software.spark),
        "SPARK_CONF_DIR": str(conf),
        "SPARK_LOG_DIR": str(logs),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "SPARK_LOCAL_HOSTNAME": "127.0.0.1",
        "SPARK_SCALA_VERSION": "2.13",
        "PYSPARK_PYTHON": str(software.python),
        "PYSPARK_DRIVER_PYTHON": str(software.python),
        "TMPDIR": str(scratch),
    }
    master = _daemon(software, "master", "org.apache.spark.deploy.master.Master", environment, logs)
    url = f"spark://127.0.0.1:{ports.master}"
    master = _with(master, "--host", "127.0.0.1", "--port", str(ports.master), "--webui-port", str(ports.master_ui))
    workers = tuple(
        _with(
            _daemon(software, f"worker-{number}", "org.apache.spark.deploy.worker.Worker", environment, logs),
            *("--host", "127.0.0.1", "--port", "0", "--webui-port", "0"),
            *("--cores", str(options.cores_per_worker), "--memory", memory_words(options.memory_per_worker)),
            *("--work-dir", str(scratch / f"worker-{number}"), url),
        )
        for number in range(1, options.workers + 1)
    )
    connect = ProcessPlan(
        role="connect",
        arguments=(
            *_java(software, "1g", str(scratch)),
            *(
                "org.apache.spark.deploy.SparkSubmit",
                "--class",
                "org.apache.spark.sql.connect.service.SparkConnectServer",
            ),
            *("--name", options.name, "--master", url, "spark-internal"),
        ),
        environment={**environment, TOKEN_VARIABLE: ground.secrets.token},
        log=logs / "connect.log",
    )
    return ClusterPlan(
        folders=(
            conf,
            logs,
            folder / "events",
            scratch,
            *(scratch / f"worker-{n}" for n in range(1, options.workers + 1)),
        ),
        files={conf / "spark-defaults.conf": _settings(folder, options, ground)},
        master=master,
        workers=workers,
        connect=connect,
    )


def _daemon(software: Software, role: str, main: str, environment: Mapping[str, str], logs: Path) -> ProcessPlan:
    start = (*_java(software, "256m", environment["TMPDIR"]), main)
    return ProcessPlan(role, start, environment, logs / f"{role}.log")


def _java(software: Software, memory: str, scratch: str) -> tuple[str, ...]:
    """Start Java so that whatever it leaves lies in `scratch`, which goes with the cluster."""
    jars = f"{software.spark}/jars/*"
    return (str(software.java), "-cp", jars, f"-Xmx{memory}", f"-Djava.io.tmpdir={scratch}", *_LIGHT, *_OPEN)


def _with(process: ProcessPlan, *arguments: str) -> ProcessPlan:
    return ProcessPlan(process.role, (*process.arguments, *arguments), process.environment, process.log)


def _settings(folder: Path, options: ClusterOptions, ground: Ground) -> str:
    ports, secrets, software, inherited = ground.ports, ground.secrets, ground.software, ground.inherited
    settings = {
        # who may speak to whom
        "spark.authenticate": "true",
        "spark.authenticate.secret": secrets.rpc,
        "spark.master.rest.enabled": "false",
        "spark.master.ui.decommission.allow.mode": "DENY",
        "spark.ui.killEnabled": "false",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.connect.grpc.binding.address": "127.0.0.1",
        "spark.connect.grpc.binding.port": str(ports.connect),
        "spark.ui.port": str(ports.ui),
        # a taken port is told, so that all ports are chosen anew; Spark would quietly take the next one
        "spark.port.maxRetries": "0",
        # sizes
        "spark.executor.memory": memory_words(options.memory_per_worker),
        "spark.executor.cores": str(options.cores_per_worker),
        "spark.cores.max": str(options.cores),
        "spark.default.parallelism": str(max(2, options.cores)),
        "spark.sql.shuffle.partitions": str(max(2, 2 * options.cores)),
        # the user's Python, and Arrow between it and Java
        "spark.pyspark.python": str(software.python),
        "spark.pyspark.driver.python": str(software.python),
        "spark.sql.execution.arrow.pyspark.enabled": "true",
        "spark.connect.progress.reportInterval": "500ms",
        # a query whose client vanished ends soon, or the next client's queries would wait behind it
        "spark.connect.execute.manager.detachedTimeout": "20s",
        "spark.connect.execute.manager.maintenanceInterval": "5s",
        "spark.sql.catalogImplementation": "in-memory",
        # what is kept and what is not
        "spark.local.dir": str(folder / "scratch"),
        "spark.executor.extraJavaOptions": f"-Djava.io.tmpdir={folder / 'scratch'} -XX:-UsePerfData",
        "spark.sql.warehouse.dir": f"file://{folder / 'scratch' / 'warehouse'}",
        "spark.sql.artifact.isolation.enabled": "true",
        "spark.eventLog.enabled": "true",
        "spark.eventLog.dir": f"file://{folder / 'events'}",
        "spark.worker.cleanup.enabled": "true",
        # numbers for the panel and for Prometheus, under names that do not change with the cluster
        "spark.ui.prometheus.enabled": "true",
        "spark.metrics.namespace": "piezo",
        "spark.metrics.conf.*.sink.prometheusServlet.class": "org.apache.spark.metrics.sink.PrometheusServlet",
        "spark.metrics.conf.*.sink.prometheusServlet.path": "/metrics/prometheus",
        "spark.metrics.conf.master.sink.prometheusServlet.path": "/metrics/master/prometheus",
        "spark.metrics.conf.applications.sink.prometheusServlet.path": "/metrics/applications/prometheus",
    }
    if inherited.get(DMS_SOCKET_VARIABLE):
        settings[f"spark.executorEnv.{DMS_SOCKET_VARIABLE}"] = inherited[DMS_SOCKET_VARIABLE]
    return "".join(f"{name} {_escaped(value)}\n" for name, value in settings.items())


def _escaped(value: str) -> str:
    """Java's properties format reads a backslash as the start of an escape."""
    return value.replace("\\", "\\\\")
