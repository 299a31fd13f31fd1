"""The launcher: the one program of ours that runs as root on the host, and it knows four verbs.

    python -m jupyter_alc.vmm.clouds.launcher --state DIR --run DIR --environments DIR

It listens on `<run>/launcher.sock`, admits root and the service's uid by their peer credentials, and answers one JSON
line to each: make, attach, end, list. Machines live in sessions of their own and outlive it; a new launcher finds them
by their records. One request is handled at a time, in one thread, so that it may fork.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import os
import shutil
import signal
import socket
import struct
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from jupyter_alc.core.clock import Clock, SystemClock
from jupyter_alc.core.errors import AlcError, BadInput, Conflict, Denied, Missing, NotFound, Unavailable
from jupyter_alc.core.full_disk import disk_is_full, is_full_disk
from jupyter_alc.core.names import identifier
from jupyter_alc.vmm.clouds import asked, network
from jupyter_alc.vmm.clouds.isolated import Isolated
from jupyter_alc.vmm.clouds.plain import LONGEST_SOCKET, Plain
from jupyter_alc.vmm.clouds.records import MachineRecord, Records

if TYPE_CHECKING:
    from collections.abc import Mapping

LOG: Final = logging.getLogger("jupyter_alc.launcher")
SOCKET_NAME: Final = "launcher.sock"
_LONGEST_LINE: Final = 1 << 18
_WHOSE_DISK: Final = "the computer that makes the machines"


@dataclass(slots=True)
class Launcher:
    """The four verbs, as calls. Answers are JSON objects; refusals are AlcError."""

    records: Records
    maker: Isolated | Plain
    clock: Clock

    def answer(self, told: object) -> dict[str, Any]:
        """Do what one request says."""
        if not isinstance(told, dict):
            raise BadInput("The request is not an object.", next_step="Send one JSON object on one line.")
        self.maker.reap()
        match told.get("verb"):
            case "make":
                return {"machine": self.make(asked.make_of(told))}
            case "attach":
                return {"path": self.attach(asked.attach_of(told, self.maker.uids))}
            case "end":
                self.end(asked.key_of(told))
                return {"gone": True}
            case "list" if set(told) == {"verb"}:
                return {
                    "machines": [record.as_json() for record in self.records.all()],
                    "environments": sorted(one.parents[1].name for one in self.maker.environments.glob("*/bin/python")),
                }
        raise BadInput("There is no such verb.", next_step="Use make, attach, end or list.", field="verb")

    def make(self, wanted: asked.Make) -> dict[str, Any]:
        """Make a machine; the same key again finds the first one."""
        known = self.records.load(wanted.key)
        if known:
            if known.as_json()["state"] == "running":
                return known.as_json()
            raise Conflict(f"Machine {wanted.key} has ended.", next_step="End it, then make one under another key.")
        if not (self.maker.environments / wanted.environment / "bin/python").exists():
            raise Missing(f"There is no environment {wanted.environment}.", next_step="Build it: make demo does.")
        record = self._record(wanted)
        self.records.save(record)
        try:
            self.maker.start(record, self.records, wanted.user_data)
        except (AlcError, OSError) as error:
            LOG.warning("machine %s was not made: %s", wanted.key, error)
            self.end(wanted.key)
            if is_full_disk(error):
                raise disk_is_full(_WHOSE_DISK) from error
            if isinstance(error, AlcError):
                raise
            raise Missing(
                f"The machine could not be made: {error.strerror}.", next_step="Look at the launcher's log."
            ) from error
        return record.as_json()

    def _record(self, wanted: asked.Make) -> MachineRecord:
        record = MachineRecord(
            key=wanted.key,
            type=wanted.type,
            environment=wanted.environment,
            cores=wanted.cores,
            memory_bytes=wanted.memory_bytes,
            isolation=self.maker.isolation,
            address=self.maker.address(one.address for one in self.records.all()),
            started_at=self.clock.now().isoformat(timespec="seconds"),
        )
        self.maker.name(record)
        return record

    def attach(self, wanted: asked.Attach) -> str:
        """Put a person's volume into a machine; again is fine."""
        record = self.records.load(wanted.key)
        if record is None:
            raise NotFound(f"There is no machine {wanted.key}.", next_step="Make it first.")
        return self.maker.attach(record, self.records, wanted)

    def end(self, key: str) -> None:
        """End a machine and everything of it but the people's volumes; again is fine."""
        self.maker.end(key, self.records.load(key))
        shutil.rmtree(self.records.folder_of(key), ignore_errors=True)

    def sweep(self) -> None:
        """End what has a folder but no readable record: what a crash left half made."""
        if self.records.folder.is_dir():
            for folder in list(self.records.folder.iterdir()):
                if self.records.load(folder.name) is None:
                    with contextlib.suppress(AlcError, OSError):  # the next start tries again
                        self.end(identifier(folder.name, "key"))


def _peer_uid(connection: socket.socket) -> int:
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return int(struct.unpack("3i", raw)[1])


@dataclass(slots=True)
class Door:
    """The socket: who may come in, one line in, one line out."""

    launcher: Launcher
    admitted: frozenset[int]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one caller until it hangs up; a stranger is told so before it says anything, and hung up on."""
        try:
            if _peer_uid(writer.get_extra_info("socket")) not in self.admitted:
                denied = Denied("The launcher does not answer you.", next_step="Ask as the service.")
                await self._say(writer, {"error": denied.as_json()})
                return
            while line := await reader.readline():
                await self._say(writer, self.answer(line))
        except (ConnectionError, ValueError, asyncio.IncompleteReadError):
            LOG.info("a caller left in the middle, or sent too long a line")
        finally:
            writer.close()

    def answer(self, line: bytes) -> Mapping[str, Any]:
        """Do what `line` says; whatever is wrong is told in the answer."""
        try:
            return self.launcher.answer(json.loads(line))
        except AlcError as error:
            return {"error": error.as_json()}
        except (ValueError, RecursionError):
            return {"error": BadInput("The line is not JSON.", next_step="Send one JSON object on one line.").as_json()}
        except OSError as error:
            LOG.exception("a request failed")
            if is_full_disk(error):
                return {"error": disk_is_full(_WHOSE_DISK).as_json()}
            return {
                "error": Unavailable(f"The host refused: {error.strerror}.", next_step="Look at the log.").as_json()
            }

    @staticmethod
    async def _say(writer: asyncio.StreamWriter, told: Mapping[str, Any]) -> None:
        writer.write(json.dumps(told).encode() + b"\n")
        await writer.drain()


def _remembered(state: Path) -> str | None:
    try:
        return str(json.loads((state / "launcher.json").read_text())["service_address"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _maker(given: argparse.Namespace) -> Isolated | Plain:
    state, environments, code = given.state.resolve(), given.environments.resolve(), given.code and given.code.resolve()
    if os.geteuid() != 0:
        return Plain(state=state, environments=environments, run=given.run.resolve(), code=code)
    address = network.add_service_address(given.service_address, _remembered(state))
    (state / "launcher.json").write_text(json.dumps({"service_address": address}))
    return Isolated(state=state, environments=environments, service_address=address, code=code, ports=tuple(given.port))


def _arguments(words: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="launcher", description="Makes and ends the machines of the local cloud.")
    parser.add_argument("--state", type=Path, required=True, help="what must survive: records, people's volumes")
    parser.add_argument("--run", type=Path, required=True, help="a short folder for sockets")
    parser.add_argument("--environments", type=Path, required=True, help="the folder of the machines' environments")
    parser.add_argument("--code", type=Path, help="for developers: a checkout to run instead of the installed package")
    parser.add_argument("--service-uid", type=int, help="the uid besides root that may ask")
    parser.add_argument(
        "--service-address", default=os.environ.get("ALC_SERVICE_ADDRESS"), help="default: the first free"
    )
    parser.add_argument("--port", type=int, action="append", default=[], help="a port machines may reach; default: any")
    return parser.parse_args(words)


def _prepare(given: argparse.Namespace) -> Path:
    given.state.mkdir(mode=0o700, parents=True, exist_ok=True)
    given.state.chmod(0o700)
    given.run.mkdir(mode=0o755, parents=True, exist_ok=True)
    path = Path(given.run.resolve() / SOCKET_NAME)
    longest = path if os.geteuid() == 0 else path.parent / LONGEST_SOCKET  # a sandbox has a /run of its own
    if len(os.fsencode(longest)) > 107:
        raise BadInput("The path of the folder for sockets is too long.", next_step="Set ALC_RUN to a shorter folder.")
    with socket.socket(socket.AF_UNIX) as probe, contextlib.suppress(ConnectionError, FileNotFoundError):
        probe.connect(str(path))
        raise Conflict("Another launcher answers there.", next_step="Stop it, or set ALC_RUN to another folder.")
    path.unlink(missing_ok=True)
    return path


async def _run(given: argparse.Namespace) -> None:
    path, maker = _prepare(given), _maker(given)
    records = Records(maker.state / "machines")
    launcher = Launcher(records, maker, SystemClock())
    launcher.sweep()
    admitted = {0, os.geteuid()} | ({given.service_uid} if given.service_uid is not None else set())
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    server = await asyncio.start_unix_server(Door(launcher, frozenset(admitted)).serve, path, limit=_LONGEST_LINE)
    path.chmod(0o666 if given.service_uid is not None else 0o600)
    ready = {"ready": True, "socket": str(path), "service_address": maker.service_address, "isolation": maker.isolation}
    sys.stdout.write(json.dumps(ready) + "\n")
    sys.stdout.flush()
    await stop.wait()
    server.close()
    path.unlink(missing_ok=True)
    if isinstance(maker, Isolated) and not list(records.all()):
        network.remove_service_address(maker.service_address)
        (maker.state / "launcher.json").unlink(missing_ok=True)


def main(words: list[str] | None = None) -> int:
    """Run until told to stop; 1 with one line when it cannot start."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    os.umask(0o022)
    try:
        asyncio.run(_run(_arguments(words)))
    except AlcError as error:
        sys.stderr.write(f"launcher: {error.line}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
