"""The person's data on the machine: her DMS daemon, started with the machine's own rights and kept alive."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import json
import logging
import os
import subprocess
import sys
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

import aiohttp

from jupyter_alc.core.errors import AlcError, Missing, TooLate, Unavailable, from_json
from jupyter_alc.core.switches import turned
from jupyter_alc.vmm.agent import proof
from jupyter_alc.vmm.agent.account import set_mount_point, unmount

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jupyter_alc.vmm.agent.machine import Machine
    from jupyter_alc.vmm.agent.orders import Claim

LOG: Final = logging.getLogger(__name__)
DAEMON: Final = "jupyter_alc.dms.daemon"
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 10.0
_PATIENCE_SECONDS, _AGAIN_SECONDS = 10.0, 0.5
_LONGEST_LINE: Final = 1 << 20


def daemon_installed() -> bool:
    """Say whether this machine has the DMS daemon."""
    try:
        return importlib.util.find_spec(DAEMON) is not None
    except ModuleNotFoundError:
        return False


@dataclass(slots=True)
class Data:
    """One person's daemon and mount. `mount` starts it, `stop` ends it; when it ends otherwise it is started again.

    Where nothing can be mounted the daemon serves all the same, and `problem` says why there is no folder.
    """

    machine: Machine
    claim: Claim
    problem: AlcError | None = None
    _process: asyncio.subprocess.Process | None = None
    _watch: asyncio.Task[None] | None = None
    _readers: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def running(self) -> bool:
        """Say whether the daemon is there now."""
        return self._process is not None and self._process.returncode is None

    async def mount(self) -> None:
        """Start the daemon and wait until it serves, mounted or with a `problem`; a `problem` is no failure.

        Raises AlcError with the reason where it does not serve; nothing is left mounted then.
        """
        if self.running:
            return
        if not daemon_installed():
            if not self.claim.datasets:
                return
            raise Missing("This machine has no data service.", next_step="Choose another machine type.")
        await self.stop()
        try:
            await asyncio.wait_for(self._start(), self.claim.deadline("mount"))
        except TimeoutError as error:
            await self.stop()
            raise TooLate(
                "Your data did not appear in time.", next_step="Start again; the archive may be slow."
            ) from error
        except AlcError:
            await self.stop()
            raise
        self._watch = asyncio.create_task(self._keep_alive())

    async def _start(self) -> None:
        unmount(self.claim.mount)
        set_mount_point(self.claim.mount, writable=True)
        self.machine.show_processes_to(self.claim.person.dms_gid)
        self._process = process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", DAEMON),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=self._environment(),
            cwd="/",
            limit=_LONGEST_LINE,
        )
        assert process.stdin
        assert process.stdout
        with contextlib.suppress(ConnectionError):
            process.stdin.write(json.dumps(self._order()).encode() + b"\n")
            await process.stdin.drain()
            process.stdin.close()
        self._check(await process.stdout.readline())
        reader = asyncio.create_task(_drain(process.stdout))
        self._readers.add(reader)
        reader.add_done_callback(self._readers.discard)

    def _environment(self) -> dict[str, str]:
        kept = {
            name: os.environ[name] for name in ("PATH", "LANG", "PYTHONPATH", "ALC_MACHINE_KEY") if name in os.environ
        }
        return {**kept, **turned(), "HOME": str(self.claim.dms_volume)}

    def _order(self) -> dict[str, Any]:
        who, isolated = self.claim.person, self.machine.isolated
        return {
            "user": who.name,
            "mount": str(self.claim.mount),
            "socket": str(self.machine.dms_socket),
            "volume": str(self.claim.dms_volume),
            "admit_uids": sorted({who.uid, os.getuid()}),
            "files_uid": who.uid,
            "files_gid": who.gid,
            "run_as_uid": who.dms_uid if isolated else None,
            "run_as_gid": who.dms_gid if isolated else None,
            "quota_bytes": self.claim.quota_bytes,
            "datasets": list(self.claim.datasets),
        }

    def _check(self, line: bytes) -> None:
        try:
            told = json.loads(line)
        except ValueError:
            raise _no_word() from None
        if not isinstance(told, dict) or not told.get("ready"):
            raise from_json(told["problem"]) if isinstance(told, dict) and told.get("problem") else _no_word()
        self.problem = None
        if not told.get("mounted"):
            set_mount_point(self.claim.mount, writable=False)
            self.problem = from_json(told["problem"]) if self.claim.datasets and told.get("problem") else None

    async def _keep_alive(self) -> None:
        pause = _FIRST_PAUSE
        while True:
            assert self._process
            status = await self._process.wait()
            LOG.warning("the data service ended with %s; it is started again", status)
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)
            try:
                await asyncio.wait_for(self._start(), self.claim.deadline("mount"))
                pause = _FIRST_PAUSE
            except (AlcError, OSError, TimeoutError) as error:
                LOG.warning("the data service did not come back: %s", error)
                await self._end_process()

    async def prove(self) -> list[dict[str, Any]]:
        """Read every dataset as the person; returns what was read. Raises `Unavailable` naming the one that failed.

        An archive that was away a moment ago is given some seconds: the mount refuses at once until it has asked anew.
        """
        if not self.claim.datasets:
            return []
        until = time.monotonic() + min(_PATIENCE_SECONDS, self.claim.deadline("proof") / 2)
        while True:
            try:
                return await self._prove_once()
            except TooLate:
                raise
            except Unavailable:
                if time.monotonic() > until:
                    raise
            await asyncio.sleep(_AGAIN_SECONDS)

    async def _prove_once(self) -> list[dict[str, Any]]:
        told: dict[str, Any] = {"datasets": [str(one["id"]) for one in self.claim.datasets]}
        told |= {"socket": str(self.machine.dms_socket)} if self.problem else {"mount": str(self.claim.mount)}
        ids: dict[str, Any] = {}
        if self.machine.isolated:
            ids = {"user": self.claim.person.uid, "group": self.claim.person.gid, "extra_groups": []}
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", proof.__file__),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd="/",
            env={},
            **ids,
        )
        try:
            work = process.communicate(json.dumps(told).encode())
            said, _ = await asyncio.wait_for(work, self.claim.deadline("proof"))
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            raise _too_slow() from None
        answer = json.loads(said or b"{}")
        if process.returncode != 0:
            name, reason = answer.get("failed", "one of your datasets"), answer.get("reason", "no answer")
            cure = "Start again, or choose without this dataset."
            raise Unavailable(f"{name} could not be read: {reason}.", next_step=cure)
        return list(answer["proved"])

    async def renew(self, datasets: Mapping[str, Mapping[str, str]]) -> None:
        """Hand new session keys to the daemon, and to one that is started again. Raises `Unavailable`."""
        renewed = [
            {**one, "credentials": dict(datasets[str(one["id"])])} if str(one["id"]) in datasets else one
            for one in self.claim.datasets
        ]
        self.claim = replace(self.claim, datasets=tuple(renewed))
        if not self.running:
            return
        try:
            async with (
                aiohttp.ClientSession(
                    connector=aiohttp.UnixConnector(str(self.machine.dms_socket)),
                    timeout=aiohttp.ClientTimeout(total=_PATIENCE_SECONDS),
                ) as session,
                session.post("http://dms/v1/credentials", json={"datasets": datasets}) as answer,
            ):
                if answer.status == 200:
                    return
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            LOG.warning("the data service took no new credentials: %s", error)
        raise Unavailable("The data service took no new credentials.", next_step="They are sent again.")

    async def flush(self, deadline_seconds: float) -> list[dict[str, Any]]:
        """Send what is unsent as far as it goes in time; returns what is left (without a daemon, nothing)."""
        if self._process is None:
            return []
        limit = aiohttp.ClientTimeout(total=deadline_seconds + 15)
        connector = aiohttp.UnixConnector(str(self.machine.dms_socket))
        try:
            async with (
                aiohttp.ClientSession(connector=connector, timeout=limit) as session,
                session.post("http://dms/v1/flush", json={"deadline_seconds": deadline_seconds}) as answer,
            ):
                told = await answer.json()
                if answer.status == 200:
                    return list(told["unsent"])
                problem = from_json(told)
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError, KeyError, TypeError) as error:
            LOG.warning("the data service did not answer the flush: %s", error)
            problem = Unavailable("The data service does not answer.", next_step="It is asked again.")
        return [{"path": "", "state": "waiting", "size_bytes": None, "problem": problem.as_json()}]

    async def stop(self) -> None:
        """End the daemon and take the mount away."""
        if self._watch:
            self._watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watch
            self._watch = None
        await self._end_process()
        self._process = None
        unmount(self.claim.mount)

    async def _end_process(self) -> None:
        process = self._process
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), 15)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


async def _drain(stream: asyncio.StreamReader) -> None:
    with contextlib.suppress(ValueError):
        while await stream.readline():
            pass


def _too_slow() -> AlcError:
    return TooLate("Your data could not be read in time.", next_step="Start again; the archive may be slow.")


def _no_word() -> AlcError:
    return Unavailable("The data service did not start.", next_step="Start again; the machine's log has the reason.")
