"""One small process per cluster: parent of its programs, holder of its lease, sole writer of its state while it lives.

`python -m jupyter_alc.piezo.supervisor FOLDER` goes to the background at once, in a session of its own.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import shutil
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from jupyter_alc.core.clock import Clock, SystemClock
from jupyter_alc.core.errors import AlcError, Conflict, TooLate, Unavailable
from jupyter_alc.core.full_disk import is_full_disk
from jupyter_alc.core.states import ClusterState
from jupyter_alc.piezo import observe, remains
from jupyter_alc.piezo.control import serving
from jupyter_alc.piezo.frameworks import framework_named
from jupyter_alc.piezo.lease import Lease
from jupyter_alc.piezo.record import Cluster, ClusterRecord, Connection, Ending, no_room, note_record, read_record
from jupyter_alc.piezo.standalone_spark import PortTaken, StandaloneSpark

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jupyter_alc.piezo.frameworks import Framework

START_SECONDS: Final = 180.0
_ATTEMPTS: Final = 3
_LOOK_SECONDS: Final = 1.0
_log = logging.getLogger("jupyter_alc.piezo.supervisor")


class Supervisor:
    """Brings one cluster from asked to gone."""

    def __init__(
        self, folder: Path, record: ClusterRecord, framework: Framework, environment: Mapping[str, str], clock: Clock
    ) -> None:
        self._folder = folder
        self._record = record
        self._framework = framework
        self._environment = environment
        self._clock = clock
        self._lease = Lease(record.lease_seconds, clock)
        self._stopping = asyncio.Event()
        self._spark: StandaloneSpark | None = None
        self._token = secrets.token_urlsafe(32)
        self._running = (0, float("-inf"))  # executors, and when they were counted

    async def run(self) -> None:
        """Live until nothing is left of the cluster."""
        async with serving(self, Path(self._record.socket)):
            ending = await self._live()
            await self._end(ending)

    # what the socket offers

    async def seen(self) -> Cluster:
        """The cluster as it is now; executors are counted at most once a second."""
        ready = self._record.state is ClusterState.READY
        if ready and self._spark and self._clock.monotonic() - self._running[1] > _LOOK_SECONDS:
            counted = await observe.executors(self._spark.ports.ui)
            self._running = (self._running[0] if counted is None else counted, self._clock.monotonic())
        return Cluster(
            self._record,
            executors_running=self._running[0] if ready else 0,
            lease_until=self._lease.until.isoformat(timespec="seconds"),
            ui=ready,
        )

    def renew(self) -> None:
        """Begin the lease anew."""
        self._lease.renew()

    def stop(self) -> None:
        """Begin the end; a second stop is the same stop."""
        if self._record.state in {ClusterState.STARTING, ClusterState.READY}:
            self._move(ClusterState.STOPPING, "its user stopped it", Ending.STOPPED)
        self._stopping.set()

    def connection(self) -> Connection:
        """Address and token of a ready cluster; raises `Conflict` otherwise."""
        if self._record.state is not ClusterState.READY or self._spark is None:
            raise Conflict(
                f"The cluster is {self._record.state}: {self._record.reason}.", next_step="Wait until it is ready."
            )
        return self._spark.connection(self._token)

    # its life

    async def _live(self) -> Ending:
        begun = self._clock.monotonic()
        self._move(ClusterState.STARTING, "making folders and secrets")
        try:
            await self._start_unless_stopped()
        except AlcError as problem:
            return self._broke(ClusterState.FAILED, problem, Ending.FAILED)
        except OSError as error:
            if not is_full_disk(error):
                raise
            return self._broke(ClusterState.FAILED, no_room(self._folder.parent), Ending.FAILED)
        if self._stopping.is_set():
            return Ending.STOPPED
        self._record = self._record.answered(self._clock.monotonic() - begun)
        self._lease.renew()
        self._move(ClusterState.READY)
        return await self._watch()

    async def _start_unless_stopped(self) -> None:
        start = asyncio.create_task(self._start())
        stop = asyncio.create_task(self._stopping.wait())
        try:
            done, _ = await asyncio.wait({start, stop}, timeout=START_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            if start in done and not self._stopping.is_set():
                start.result()
            elif not done:
                raise TooLate(
                    f"The cluster was not ready within {START_SECONDS:.0f} s ({self._record.reason}).",
                    next_step="Start a cluster again; with less memory or fewer workers if this machine is busy.",
                )
        finally:
            for task in (start, stop):
                task.cancel()
            await asyncio.gather(start, stop, return_exceptions=True)

    async def _start(self) -> None:
        for attempt in range(1, _ATTEMPTS + 1):
            self._spark = StandaloneSpark(self._folder, self._record, self._framework.software(), self._environment)
            try:
                await self._spark.start(self._token, self._waiting)
            except PortTaken as problem:
                await self._spark.end()
                if attempt == _ATTEMPTS:
                    raise problem.why from problem
                _log.warning("a port was taken; attempt %s begins", attempt + 1)
            else:
                return

    async def _watch(self) -> Ending:
        assert self._spark is not None
        while True:
            try:
                await asyncio.wait_for(self._stopping.wait(), _LOOK_SECONDS)
            except TimeoutError:
                pass
            else:
                return Ending.STOPPED
            died = await self._spark.look()
            if died is not None:
                return self._broke(ClusterState.LOST, died, Ending.LOST)
            if self._lease.ended and not await self._kept_by_traffic():
                return Ending.LEASE

    async def _kept_by_traffic(self) -> bool:
        """A client that holds a connection while a job runs keeps the cluster; a job without client does not."""
        assert self._spark is not None
        if await self._spark.busy():
            self._lease.renew()
            return True
        return False

    async def _end(self, ending: Ending) -> None:
        if self._record.state is not ClusterState.STOPPING:
            reason = "its owner's server was not heard from" if ending is Ending.LEASE else ""
            self._move(ClusterState.STOPPING, reason, ending)
        while True:
            try:
                if self._spark is not None:
                    await self._spark.end()
                await asyncio.to_thread(remains.clear, self._folder)
            except Unavailable:
                _log.exception("the end is tried again")
                await asyncio.sleep(_LOOK_SECONDS)
            else:
                break
        self._move(ClusterState.GONE)

    def _broke(self, state: ClusterState, problem: AlcError, ending: Ending) -> Ending:
        _log.error("%s: %s", state, problem.line)
        if not self._stopping.is_set():
            self._record = self._record.broken(problem)
            self._move(state, problem.sentence, ending)
        return ending

    def _move(self, state: ClusterState, reason: str = "", ending: Ending | None = None) -> None:
        self._record = self._record.moved(state, self._clock.now(), reason=reason, ending=ending)
        note_record(self._folder, self._record)
        _log.info("%s %s", state, self._record.reason)

    def _waiting(self, reason: str) -> None:
        if reason != self._record.reason and self._record.state is ClusterState.STARTING:
            self._record = self._record.waiting(reason)
            note_record(self._folder, self._record)


def into_background() -> None:
    """Leave the caller: a new session, no terminal, nothing of its open files; the caller's child ends at once."""
    if os.fork():
        os._exit(0)
    os.setsid()
    if os.fork():
        os._exit(0)
    os.umask(0o077)
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nothing, descriptor)
    os.closerange(3, 4096)


async def supervise(folder: Path) -> None:
    """Run the cluster whose record lies in `folder`; SIGTERM stops it."""
    with remains.hold(folder, wait_seconds=10) as ours:
        record = read_record(folder)
        if not ours or record is None or record.state is not ClusterState.ASKED:
            return
        environment = dict(os.environ)
        supervisor = Supervisor(
            folder, record, framework_named(record.framework, environment), environment, SystemClock()
        )
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, supervisor.stop)
        try:
            await supervisor.run()
        except BaseException:
            _log.exception("the supervisor ends unexpectedly; the sweep finishes the cluster")
            raise


def main() -> None:
    """Go to the background and supervise the cluster whose record folder is the first argument."""
    folder = Path(sys.argv[1]).absolute()
    into_background()
    logs = folder / "logs"
    shutil.rmtree(logs, ignore_errors=True)
    logs.mkdir(mode=0o700)
    logging.basicConfig(filename=logs / "supervisor.log", level=logging.INFO, format="%(asctime)s %(message)s")
    asyncio.run(supervise(folder))


if __name__ == "__main__":
    main()
