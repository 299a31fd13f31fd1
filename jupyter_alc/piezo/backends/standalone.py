"""The backend that needs nothing but pyspark and Java: Spark's processes are the user's own, in her own machine."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

import jupyter_alc
from jupyter_alc.core.clock import Clock, SystemClock
from jupyter_alc.core.errors import AlcError, Conflict, NotFound, Unavailable
from jupyter_alc.core.full_disk import is_full_disk
from jupyter_alc.core.states import ClusterState
from jupyter_alc.piezo import control, remains
from jupyter_alc.piezo.frameworks import framework_named
from jupyter_alc.piezo.lease import VARIABLE as LEASE_VARIABLE
from jupyter_alc.piezo.lease import lease_seconds
from jupyter_alc.piezo.options import ClusterOptions, Machine
from jupyter_alc.piezo.plan import INHERITED
from jupyter_alc.piezo.record import Cluster, ClusterRecord, Connection, no_room, read_record, write_record

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jupyter_alc.core.settings import Places
    from jupyter_alc.piezo.frameworks import Framework

_SOCKET_LIMIT: Final = 100  # a Unix socket's path has at most 107 characters


class StandaloneBackend:
    """Clusters as records below `places.state` and supervisors that outlive us; see `Backend` for the promises."""

    name = "standalone"

    def __init__(
        self,
        places: Places,
        environment: Mapping[str, str] | None = None,
        *,
        framework: Framework | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._environment = os.environ if environment is None else environment
        self._folder = places.state / "clusters"
        self._sockets = places.run / "piezo"
        self._framework = framework or framework_named("spark", self._environment)
        self._clock = clock or SystemClock()
        self.machine = machine_of(self._environment)

    async def create(self, cluster_id: str, options: ClusterOptions) -> Cluster:
        """Write the record and start its supervisor; raises `Missing` where the machine has no Spark or no Java."""
        return await asyncio.to_thread(self._create, cluster_id, options)

    async def clusters(self) -> list[Cluster]:
        """All records, newest first, living ones asked; what a dead supervisor left is ended on the way."""
        records = await asyncio.to_thread(self._records)
        found = await asyncio.gather(*(self._seen(record) for record in records))
        return sorted(found, key=lambda each: each.record.created, reverse=True)

    async def renew(self, cluster_id: str) -> Cluster:
        """Begin the lease anew."""
        record = await self._living(cluster_id)
        return Cluster.from_json(record, await control.ask(record.socket, "POST", "/v1/lease"))

    async def stop(self, cluster_id: str) -> Cluster:
        """Begin the end; returns at once."""
        record = await self._living(cluster_id)
        try:
            return Cluster.from_json(record, await control.ask(record.socket, "DELETE", "/v1/cluster"))
        except Unavailable:  # it may have ended, or be about to, since it was looked at
            now = await asyncio.to_thread(self._read_again, record)
            if now.state not in {ClusterState.STOPPING, ClusterState.GONE}:
                raise
            return Cluster(now)

    async def connection(self, cluster_id: str) -> Connection:
        """Address and token."""
        record = await self._living(cluster_id)
        if record.state is not ClusterState.READY:
            raise Conflict(f"The cluster is {record.state}: {record.reason}.", next_step="Wait until it is ready.")
        return Connection(**await control.ask(record.socket, "GET", "/v1/connection"))

    def _create(self, cluster_id: str, options: ClusterOptions) -> Cluster:
        self._framework.software()
        control.own_folder(self._socket(cluster_id).parent)
        now = self._clock.now()
        record = ClusterRecord(
            id=cluster_id,
            name=options.name,
            framework=self._framework.name,
            version=self._framework.version(),
            backend=self.name,
            options=options.as_json(),
            cores=options.cores,
            workers=options.workers,
            created=now.isoformat(),
            changed=now.isoformat(),
            lease_seconds=lease_seconds(self._environment),
            socket=str(self._socket(cluster_id)),
        )
        folder = self._folder / cluster_id
        if _take(folder, record):
            self._start_supervisor(folder)
        return Cluster(read_record(folder) or record)

    def _socket(self, cluster_id: str) -> Path:
        wanted = self._sockets / f"{cluster_id}.sock"
        if len(str(wanted)) <= _SOCKET_LIMIT:
            return wanted
        return Path(tempfile.gettempdir()) / f"alc-{os.getuid()}" / f"{cluster_id[:40]}.sock"

    def _start_supervisor(self, folder: Path) -> None:
        kept = (*INHERITED, LEASE_VARIABLE)
        environment = {name: self._environment[name] for name in kept if name in self._environment}
        environment["PYTHONPATH"] = str(Path(jupyter_alc.__file__).parents[1])
        try:
            subprocess.run(
                [sys.executable, "-m", "jupyter_alc.piezo.supervisor", str(folder)],
                env=environment,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                check=True,
                timeout=60,
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise Unavailable(
                "The cluster's supervisor could not be started.", next_step="Try again in a moment."
            ) from error

    def _records(self) -> list[ClusterRecord]:
        if not self._folder.is_dir():
            return []
        folders = [each for each in self._folder.iterdir() if each.is_dir() and not each.name.startswith(".")]
        return [record for folder in folders if (record := remains.sweep(folder, self._clock)) is not None]

    async def _seen(self, record: ClusterRecord) -> Cluster:
        if record.state in {ClusterState.ASKED, ClusterState.GONE}:
            return Cluster(record)
        try:
            return Cluster.from_json(record, await control.ask(record.socket, "GET", "/v1/cluster"))
        except AlcError:
            return Cluster(await asyncio.to_thread(self._read_again, record))

    def _read_again(self, record: ClusterRecord) -> ClusterRecord:
        return remains.sweep(self._folder / record.id, self._clock) or record

    async def _living(self, cluster_id: str) -> ClusterRecord:
        for record in await asyncio.to_thread(self._records):
            if record.id == cluster_id and record.state is not ClusterState.GONE:
                return record
        raise NotFound(f"There is no cluster {cluster_id[:80]}.", next_step="Look at the list of clusters.")


def machine_of(environment: Mapping[str, str]) -> Machine:
    """This machine's cores and memory: what its type says (ALC_MACHINE), else what the operating system says."""
    try:
        told = json.loads(environment.get("ALC_MACHINE") or "{}")
    except ValueError:
        told = {}
    cores = told.get("cores") or len(os.sched_getaffinity(0))
    memory = told.get("memory_bytes") or os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return Machine(cores=max(1, int(cores)), memory_bytes=int(memory))


def _take(folder: Path, record: ClusterRecord) -> bool:
    """Make `folder` with `record` in it, whole or not at all; False where it is there already."""
    made: str | None = None
    try:
        folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        made = tempfile.mkdtemp(prefix=".", dir=folder.parent)
        write_record(Path(made), record)
        Path(made).rename(folder)
    except OSError as error:
        if made is not None:
            shutil.rmtree(made, ignore_errors=True)
        if read_record(folder) is not None:
            return False
        if is_full_disk(error):
            raise no_room(folder.parent) from None
        raise Unavailable(
            f"The record of the cluster cannot be written in {folder.parent} ({error.strerror}).",
            next_step="Make that a folder of your own, then start a cluster again.",
        ) from None
    return True
