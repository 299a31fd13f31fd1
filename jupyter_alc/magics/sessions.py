"""The Spark session of this kernel: made by `%piezo start`, named `spark`, gone with `%piezo stop`."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jupyter_alc.core.errors import AlcError
from jupyter_alc.magics.cells import CellProgress
from jupyter_alc.magics.progress import progress_for
from jupyter_alc.piezo.frameworks import framework_named

if TYPE_CHECKING:
    from collections.abc import Callable

    from jupyter_alc.piezo.frameworks import Framework

VARIABLE = "spark"


@dataclass(frozen=True, slots=True)
class Session:
    """A session, the cluster it belongs to, and how to stop listening to it."""

    cluster: str
    spark: Any
    stop_listening: Callable[[], None]


class Sessions:
    """At most one session at a time; opening another leaves the first cluster alone."""

    def __init__(self, shell: Any, framework: Framework | None = None) -> None:
        self._shell = shell
        self._framework = framework or framework_named("spark")
        self._cells = CellProgress(lambda: progress_for(shell))
        self._session: Session | None = None
        shell.events.register("post_run_cell", self._cells.cell_ends)

    def open(self, cluster: str, connect_url: str) -> None:
        """Connect to `cluster` and put the session into the user's variables; raises `Missing` without pyspark."""
        self._framework.version()
        spark = self._framework.connect(connect_url, name="notebook")
        self._stop_listening()
        self._session = Session(cluster, spark, self._framework.on_progress(spark, self._cells.hear))
        self._shell.push({VARIABLE: spark})

    def close(self, cluster: str) -> None:
        """End the session of `cluster`, if this kernel has it, and take the variable away."""
        session = self._session
        if session is None or session.cluster != cluster:
            return
        self._stop_listening()
        self._session = None
        if self._shell.user_ns.get(VARIABLE) is session.spark:
            self._shell.drop_by_id({VARIABLE: session.spark})
        with suppress(Exception):  # the cluster goes anyway; a session that cannot be closed goes with it
            session.spark.stop()

    def end(self) -> None:
        """Stop listening: the magics are taken away."""
        self._stop_listening()
        self._shell.events.unregister("post_run_cell", self._cells.cell_ends)

    def _stop_listening(self) -> None:
        if self._session is None:
            return
        try:
            self._session.stop_listening()
        except (AlcError, ValueError, KeyError):  # it was stopped by hand
            return
