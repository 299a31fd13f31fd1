"""Spark: the only door to pyspark. Nothing of pyspark is loaded before a function here needs it.

Run as a program it is the probe of a new cluster: it reads the address from its input, has an executor compute
something, says `answered`, and then runs one Python function on the executors, so that the user's first does not pay
for the start of their Python.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import shutil
import sys
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from jupyter_alc.core.errors import AlcError, Denied, Missing, TooLate, Unavailable
from jupyter_alc.piezo.frameworks import Progress, Stage
from jupyter_alc.piezo.plan import Software

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_GENERATIONS: Final = 50
_CLOSED: Final = "SESSION_CLOSED"
_DIRECT: Final = (("grpc.enable_http_proxy", 0),)  # the cluster is on this computer, whatever http_proxy says
_JAVA_FOLDERS: Final = Path("/usr/lib/jvm")


class SparkFramework:
    """Spark 4 over Spark Connect."""

    name = "spark"

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        self._environment = os.environ if environment is None else environment

    def software(self) -> Software:
        """Java, pyspark's own folder and this Python; raises `Missing` for what is not there."""
        found = importlib.util.find_spec("pyspark")
        home = Path(found.origin).parent if found is not None and found.origin else None
        if home is None or not (home / "jars").is_dir():
            raise Missing(
                "This machine type has no Spark.",
                next_step="Choose a machine type that has Spark, and start your server again.",
            )
        return Software(java=self._java(), spark=home, python=Path(sys.executable))

    def version(self) -> str:
        """The version of pyspark; raises `Missing`."""
        try:
            return importlib.metadata.version("pyspark")
        except importlib.metadata.PackageNotFoundError as error:
            raise Missing(
                "This machine type has no Spark.",
                next_step="Choose a machine type that has Spark, and start your server again.",
            ) from error

    def connect(self, connect_url: str, *, name: str, deadline_seconds: float = 20.0) -> Any:
        """Open the Spark session `name`, or find it again with its views and settings.

        Address and token are tried first with a deadline of our own, because the client itself retries for minutes. A
        session that was stopped is dead for ever, so its next generation is opened. Raises `Denied`, `TooLate` and
        `Unavailable`.
        """
        for generation in range(_GENERATIONS):
            session_id = str(uuid.uuid5(uuid.NAMESPACE_URL, f"jupyter-alc/{connect_url}/{name}/{generation}"))
            if _asked(connect_url, session_id, deadline_seconds) != _CLOSED:
                return _session(connect_url, session_id)
        raise Unavailable(f"The session {name} was closed too often.", next_step="Use another name for it.")

    def on_progress(self, session: Any, tell: Callable[[Progress], None]) -> Callable[[], None]:
        """Have `tell` called while queries run; the last call of a query has `done` set, and `failed` or full counts.

        pyspark ends a failed query as it ends a good one, while the query's error passes through: an error that was
        not there when the query ran.
        """
        before: dict[str, BaseException | None] = {}

        def handler(stages: Any, inflight_tasks: int, operation_id: str, done: bool) -> None:
            error = sys.exc_info()[1]
            known = before.pop(operation_id, None) if done else before.setdefault(operation_id, error)
            failed = done and error is not known
            tell(progress_of(stages or (), inflight_tasks, operation_id or "", done=done, failed=failed))

        session.registerProgressHandler(handler)

        def end() -> None:
            session.removeProgressHandler(handler)

        return end

    def interrupt(self, session: Any) -> int:
        """End every running query of `session`."""
        return len(session.interruptAll())

    def _java(self) -> Path:
        home = self._environment.get("JAVA_HOME")
        candidates = [Path(home) / "bin/java"] if home else []
        on_path = shutil.which("java", path=self._environment.get("PATH"))
        candidates += [Path(on_path)] if on_path else []
        candidates += sorted(_JAVA_FOLDERS.glob("*/bin/java"), reverse=True)
        for java in candidates:
            if os.access(java, os.X_OK):
                return java
        raise Missing(
            "This machine has no Java, which Spark needs.",
            next_step="Ask your operator to install openjdk-17-jre-headless.",
        )


def progress_of(stages: Any, inflight_tasks: int, operation_id: str, *, done: bool, failed: bool = False) -> Progress:
    """Translate pyspark's progress; when `done` and well, all counts are full, whatever skipped stages say."""
    full = done and not failed
    told = tuple(
        Stage(
            each.stage_id,
            each.num_tasks,
            each.num_tasks if full else each.num_completed_tasks,
            each.num_bytes_read,
            done or each.done,
        )
        for each in stages
    )
    tasks = sum(stage.tasks for stage in told)
    return Progress(
        operation=operation_id,
        stages=told,
        tasks=tasks,
        tasks_done=sum(stage.tasks_done for stage in told),
        tasks_running=0 if done else inflight_tasks,
        bytes_read=sum(stage.bytes_read for stage in told),
        done=done,
        failed=failed,
    )


def _asked(connect_url: str, session_id: str, deadline_seconds: float) -> str:
    """Ask the server its version under the token; returns it, or `SESSION_CLOSED`."""
    import grpc  # type: ignore[import-untyped]  # noqa: PLC0415
    from pyspark.sql.connect import proto  # noqa: PLC0415

    address, token = _parts(connect_url)
    request = proto.AnalyzePlanRequest(
        session_id=session_id,
        user_context=proto.UserContext(user_id=_user()),
        spark_version=proto.AnalyzePlanRequest.SparkVersion(),
    )
    with grpc.insecure_channel(address, options=_DIRECT) as channel:
        ask = channel.unary_unary(
            "/spark.connect.SparkConnectService/AnalyzePlan",
            request_serializer=proto.AnalyzePlanRequest.SerializeToString,
            response_deserializer=proto.AnalyzePlanResponse.FromString,
        )
        try:
            answer = ask(request, timeout=deadline_seconds, metadata=(("authorization", f"Bearer {token}"),))
        except grpc.RpcError as error:
            if _CLOSED in str(error.details()):
                return _CLOSED
            raise _explained(error.code().name, deadline_seconds) from None
    return str(answer.spark_version.version)


def _explained(status: str, deadline_seconds: float) -> AlcError:
    if status in {"UNAUTHENTICATED", "PERMISSION_DENIED"}:
        return Denied("The cluster refused the token.", next_step="Attach to the cluster by its name again.")
    if status == "DEADLINE_EXCEEDED":
        return TooLate(
            f"The cluster did not answer within {deadline_seconds:.0f} s.",
            next_step="Look at its state, then try again.",
        )
    return Unavailable(
        "The cluster cannot be reached.", next_step="Look at its state; start another one if it is gone."
    )


def _parts(connect_url: str) -> tuple[str, str]:
    url = urlsplit(connect_url)
    options = dict(part.split("=", 1) for part in url.path.lstrip("/").split(";") if "=" in part)
    return url.netloc, options.get("token", "")


def _user() -> str:
    return os.environ.get("USER") or str(os.getuid())


def _session(connect_url: str, session_id: str) -> Any:
    from pyspark.sql.connect.client import DefaultChannelBuilder  # noqa: PLC0415
    from pyspark.sql.connect.client.retries import DefaultPolicy  # noqa: PLC0415
    from pyspark.sql.connect.session import SparkSession  # noqa: PLC0415

    from jupyter_alc.piezo.frameworks.spark_source import DmsSource  # noqa: PLC0415

    os.environ["SPARK_CONNECT_MODE_ENABLED"] = "1"  # as pyspark's own builder does, which takes no channel
    url = f"{connect_url};session_id={session_id};user_id={_user()}"
    session = SparkSession.builder.channelBuilder(DefaultChannelBuilder(url, list(_DIRECT))).create()
    # the server is on this computer: when it does not answer for 15 s it is gone, and minutes of retries help nobody
    session.client.set_retry_policies(
        [DefaultPolicy(max_retries=8, initial_backoff=100, backoff_multiplier=2, max_backoff=4000)]
    )
    DmsSource.register(session)
    return session


def probe() -> None:
    """Be the probe of a new cluster; see the head of this module."""
    from pyspark.sql import functions  # noqa: PLC0415

    url = sys.stdin.readline().strip()
    tasks = int(sys.stdin.readline())
    spark = SparkFramework().connect(url, name="probe", deadline_seconds=60)
    spark.range(0, tasks, 1, tasks).selectExpr("sum(id)").collect()
    print("answered", flush=True)  # noqa: T201  (this is the program's answer)
    add_one = functions.udf(lambda number: number + 1, "long")
    spark.range(0, tasks, 1, tasks).select(add_one("id")).collect()
    spark.stop()


if __name__ == "__main__":
    probe()
