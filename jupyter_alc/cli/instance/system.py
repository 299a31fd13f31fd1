"""The instance as a whole: the order it starts in, who is started again, and an end that leaves nothing."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import functools
import json
import os
import re
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

from jupyter_alc.cli.instance import example
from jupyter_alc.cli.instance.forwarding import host_port
from jupyter_alc.cli.instance.layout import ARCHIVE_UID, SERVICE_UID, Layout, write_private
from jupyter_alc.cli.instance.ports import FIRST_PORT, LAST_PORT, inner_ports, public_port, wait_until_free
from jupyter_alc.cli.instance.probes import answers, ask_launcher, listens, running_at
from jupyter_alc.cli.instance.programs import (
    CONFIG_AT,
    Program,
    end_left_proxy,
    keep_short,
    start_archive,
    start_forwarding,
    start_hub,
    start_launcher,
    wait_for,
)
from jupyter_alc.core.errors import AlcError, BadFile, BadInput, Conflict
from jupyter_alc.core.written import read_text
from jupyter_alc.dms.catalogue_file import seen_of
from jupyter_alc.piezo.lease import lease_seconds
from jupyter_alc.vmm.client import HubClient
from jupyter_alc.vmm.types import read_machine_types

if TYPE_CHECKING:
    import socket
    import threading
    from collections.abc import Callable, Sequence

START_SECONDS: Final = 120.0
MOST_SEND_SECONDS: Final = 3600.0
LITTLE_ROOM: Final = 200 * 1000**2  # bytes of the state's disk
# settings of the machines that an operator gives by `alc up`'s own environment
HANDED_ON: Final = ("ALC_PIEZO_LEASE_SECONDS", "ALC_PIEZO_BACKEND", "ALC_CLOUD")
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._@-]{0,62}")
_AGAIN_AFTER: Final = (1.0, 2.0, 5.0, 10.0, 30.0)  # pauses before a program that ended is started again


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the operator asked for."""

    port: int = 8000
    people: Sequence[str] = ("ada", "brahe")
    admins: Sequence[str] = ()
    catalogue: Path | None = None
    credentials: Path | None = None
    machine_types: Path | None = None
    example: bool = True
    archive: str = ""
    new_logins: bool = False
    send_seconds: float = 60.0


@dataclass(slots=True)
class System:
    """One running instance. `tell` gets one line at a time for the operator, who sets `stopping` when it shall end."""

    layout: Layout
    wishes: Wishes
    tell: Callable[[str], None]
    stopping: threading.Event
    address: str = ""
    programs: dict[str, Program] = field(default_factory=dict)
    logins: dict[str, str] = field(default_factory=dict)
    _service_address: str = ""
    _ports: dict[str, int] = field(default_factory=dict)
    _lock: IO[str] | None = None
    _port_hold: socket.socket | None = None
    _starters: dict[str, Callable[[], Program]] = field(default_factory=dict)
    _falls: dict[str, int] = field(default_factory=dict)
    _short_of_room: bool = False
    _files: object = None  # how the operator's files of datasets were when they were read last

    # -- start ---------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start everything in order; return when a browser would be answered, or told to stop. Raises `AlcError`."""
        self._check_wishes()
        self.layout.make()
        self._take_lock()
        port, self._port_hold = public_port(self.wishes.port)
        if port != self.wishes.port:
            self.tell(f"Port {self.wishes.port} is taken by another program: this time it is {port}.")
        self._ports = inner_ports(self.layout.state / "ports.json")
        self.address = f"http://127.0.0.1:{port}"
        self._start_launcher()
        if self.wishes.archive:
            self._start_archive(functools.partial(self._forwarding, self.wishes.archive))
        elif self.wishes.example:
            self._start_example()
        self._write_data()
        self._starters["hub"] = lambda: self._start_hub(port)
        self.programs["hub"] = self._starters["hub"]()
        self._wait_hub()
        self._read_logins()
        self._note(port)

    def _check_wishes(self) -> None:
        """Every mistake in a file or a name is told before anything is started."""
        for name in self.wishes.people:
            if not _NAME.fullmatch(name):
                raise BadInput(
                    f"{name[:60]!r} cannot be the name of an account.",
                    next_step="Use small letters, digits and . _ - @, beginning with a letter or digit.",
                    field="people",
                )
        if not FIRST_PORT <= self.wishes.port <= LAST_PORT:  # the proxy is nobody's root
            raise BadInput(
                f"--port {self.wishes.port} cannot be used.",
                next_step=f"Give a port from {FIRST_PORT} to {LAST_PORT}.",
                field="port",
            )
        if not 0 < self.wishes.send_seconds <= MOST_SEND_SECONDS:
            raise BadInput(
                f"--send-seconds {self.wishes.send_seconds:g} cannot be used.",
                next_step=f"Give up to {MOST_SEND_SECONDS:.0f} seconds.",
                field="send_seconds",
            )
        if self.wishes.archive:
            try:
                host_port(self.wishes.archive)
            except ValueError as error:
                raise BadInput(
                    f"--archive {self.wishes.archive[:60]!r} cannot be used.",
                    next_step="Give host:port of the archive that machines may reach.",
                    field="archive",
                ) from error
        lease_seconds(os.environ)
        example.catalogue_text(self.wishes.catalogue, None)
        example.credentials_text(self.wishes.credentials, {})
        example.check_credentials(self.wishes.catalogue, self.wishes.credentials)
        read_machine_types(self.wishes.machine_types or self.layout.hub_config / "machine-types.yaml")

    def _take_lock(self) -> None:
        self._lock = (self.layout.state / "up.lock").open("a+")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._lock.close()
            self._lock = None
            at = running_at(self.layout.state)
            raise Conflict(
                f"It is already up on this state{f', at {at}' if at else ''}.",
                next_step="Use that one, stop it with Ctrl-C where it runs, or give another --state.",
            ) from error

    @property
    def begun(self) -> bool:
        """Say whether the state is ours: then there may be something to stop; else it is another instance's."""
        return self._lock is not None

    def _start_launcher(self) -> None:
        reachable = [self._ports[name] for name in ("HUB_PORT", "VMM_PORT", "ARCHIVE_PORT")]

        def start() -> Program:
            program, said = start_launcher(self.layout, reachable)
            self._service_address = str(said["service_address"])
            return program

        self._starters["launcher"] = start
        self.programs["launcher"] = start()

    def _start_example(self) -> None:
        path = self.layout.archive / "accounts.json"
        accounts = example.accounts(path, self.wishes.people)
        write_private(path, json.dumps(accounts), ARCHIVE_UID if self.layout.root else None)
        self._start_archive(lambda: start_archive(self.layout, self._service_address, self._ports["ARCHIVE_PORT"]))

    def _forwarding(self, to: str) -> Program:
        return start_forwarding(self.layout, self._service_address, self._ports["ARCHIVE_PORT"], to)

    def _start_archive(self, start: Callable[[], Program]) -> None:
        self._starters["archive"] = start
        program = self.programs["archive"] = start()
        there = functools.partial(listens, self._service_address, self._ports["ARCHIVE_PORT"])
        wait_for(START_SECONDS, "The archive", program, there, self.stopping)

    def _write_data(self) -> None:
        self._files = self._files_now()
        at = f"{self._service_address}:{self._ports['ARCHIVE_PORT']}"
        url = f"http://{at}" if self.wishes.example and not self.wishes.archive else None
        known = self.layout.archive / "accounts.json"
        accounts = json.loads(known.read_text()) if url else {}
        uid = SERVICE_UID if self.layout.root else None
        for name, text in (
            ("catalogue.yaml", example.catalogue_text(self.wishes.catalogue, url, at if self.wishes.archive else "")),
            ("credentials.yaml", example.credentials_text(self.wishes.credentials, accounts)),
        ):
            write_private(self.layout.service / name, text, uid)
        if self.wishes.machine_types:
            write_private(self.layout.service / "machine-types.yaml", read_text(self.wishes.machine_types), uid)

    def _settings(self, port: int) -> dict[str, str]:
        at = Path("/var/lib/alc") if self.layout.root else self.layout.service
        config = Path(CONFIG_AT) if self.layout.root else self.layout.hub_config
        inner = {f"ALC_{name}": str(value) for name, value in self._ports.items()}
        return {
            **inner,
            **{name: os.environ[name] for name in HANDED_ON if os.environ.get(name)},
            "ALC_PORT": str(port),
            "ALC_SERVICE_ADDRESS": self._service_address,
            "ALC_PEOPLE": " ".join(self.wishes.people),
            "ALC_ADMINS": " ".join(self.wishes.admins),
            "ALC_CATALOGUE": str(at / "catalogue.yaml"),
            "ALC_CREDENTIALS": str(at / "credentials.yaml"),
            "ALC_MACHINE_TYPES": str((at if self.wishes.machine_types else config) / "machine-types.yaml"),
            "ALC_SEND_SECONDS": str(self.wishes.send_seconds),
            "ALC_NEW_LOGINS": "1" if self.wishes.new_logins and not self.logins else "",
        }

    def _start_hub(self, port: int) -> Program:
        """Start the Hub; what a killed one left of its proxy, also before an `alc up` that was killed, goes first."""
        end_left_proxy(self.layout.run / "hub/proxy.pid")
        wait_until_free([port, *(self._ports[name] for name in ("PROXY_API_PORT", "HUB_PORT", "VMM_PORT"))])
        return start_hub(self.layout, self._settings(port))

    def _wait_hub(self) -> bool:
        """Wait until Hub and VMM answer; False when told to stop meanwhile."""
        hub, pages = self.programs["hub"], {"The Hub": f"{self.address}/hub/health", "VMM": f"{self.vmm_url}/v1/health"}
        return all(
            wait_for(START_SECONDS, what, hub, functools.partial(answers, page), self.stopping)
            for what, page in pages.items()
        )

    def _read_logins(self) -> None:
        """Take the passwords of accounts that were made at this start."""
        with contextlib.suppress(FileNotFoundError):
            self.logins = {**self.logins, **json.loads(self._logins_once.read_text())}

    def logins_told(self) -> None:
        """Keep the new passwords no longer: whoever shall know them does."""
        self._logins_once.unlink(missing_ok=True)

    @property
    def _logins_once(self) -> Path:
        return self.layout.service / "hub/logins-once.json"

    def _note(self, port: int) -> None:
        told = {"address": self.address, "port": port, "pid": os.getpid(), "service_address": self._service_address}
        write_private(
            self.layout.state / "up.json", json.dumps({**told, "run": str(self.layout.run), "ports": self._ports})
        )

    @property
    def vmm_url(self) -> str:
        """Where VMM answers on the service address."""
        return f"http://{self._service_address}:{self._ports['VMM_PORT']}/services/vmm"

    # -- while it is up ------------------------------------------------------------------------------------------------

    def watch(self) -> None:
        """Start again what ends by itself, with growing pauses, and keep logs short, until told to stop."""
        since = {name: time.monotonic() for name in self.programs}
        while not self.stopping.wait(0.5):
            self._mind_the_disk()
            self._mind_the_datasets()
            for name, program in list(self.programs.items()):
                status = program.ended()
                if status is None:
                    continue
                falls = self._falls.get(name, 0) if time.monotonic() - since[name] < 60 else 0
                pause = _AGAIN_AFTER[min(falls, len(_AGAIN_AFTER) - 1)]
                self.tell(f"{name} ended unexpectedly ({_ending(status)}); starting it again. Log: {program.log}")
                self._falls[name] = falls + 1
                since[name] = time.monotonic()
                if self.stopping.wait(pause):
                    return
                self._start_again(name)

    def _files_now(self) -> object:
        given = (self.wishes.catalogue, self.wishes.credentials)
        return [seen_of(path) for path in given if path is not None]

    def _mind_the_datasets(self) -> None:
        """Take the operator's catalogue and credentials anew when they have changed; a mistake is told, once."""
        if self._files_now() == self._files:
            return
        try:
            example.check_credentials(self.wishes.catalogue, self.wishes.credentials)
            self._write_data()
        except BadFile as mistake:
            self._files = self._files_now()
            self.tell(f"{mistake.line} The datasets of before are still offered.")
        else:
            self.tell("The list of datasets has changed: it holds from now on.")

    def _mind_the_disk(self) -> None:
        """Keep logs short, and say once that there is little room; who is refused something is told there and then."""
        for log in (*self.layout.logs.glob("*.log"), *self.layout.state.glob("machines/*/machine.log")):
            keep_short(log)
        free, before = shutil.disk_usage(self.layout.state).free, self._short_of_room
        self._short_of_room = free < LITTLE_ROOM
        if self._short_of_room and not before:
            self.tell(
                f"The disk of {self.layout.state} is nearly full ({free / 1e6:.0f} MB free). Make room there; "
                "until then starts and writes may be refused. Nothing that was written is lost."
            )

    def _start_again(self, name: str) -> None:
        self.programs[name].stop(1)
        try:
            self.programs[name] = self._starters[name]()
            if name == "hub" and self._wait_hub():
                self.tell(f"the Hub is back: {self.address}")
        except AlcError as error:
            self.tell(error.line)
        except OSError as error:  # a full disk: it is tried again
            self.tell(f"{name} cannot be started now: {error.strerror}.")

    # -- stop ----------------------------------------------------------------------------------------------------------

    def stop(self, hurry: threading.Event) -> None:
        """Send what is unsent, end machines and programs, take away what is on the host. Set `hurry` to not wait."""
        hub = self.programs.get("hub")
        if hub is not None and hub.ended() is None:
            self._drain(hurry)
        self._stop_program("hub", 15)
        end_left_proxy(self.layout.run / "hub/proxy.pid")
        self._end_machines()
        self._stop_program("launcher", 15)
        self._stop_program("archive", 10)
        self.layout.remove_run()
        (self.layout.state / "up.json").unlink(missing_ok=True)
        for held in (self._port_hold, self._lock):
            if held is not None:
                held.close()

    def _stop_program(self, name: str, seconds: float) -> None:
        if name in self.programs:
            self.programs[name].stop(seconds)

    def _drain(self, hurry: threading.Event) -> None:
        """Have VMM send what is unsent and end the machines; say what stays unsent."""
        until = time.monotonic() + 2 * self.wishes.send_seconds + 30  # a try may be under way when the last begins
        told = -1
        while time.monotonic() < until and not hurry.is_set():
            try:
                left = asyncio.run(self._shut())
            except (AlcError, OSError):
                return
            if left["machines"] == 0:
                if left["unsent"]:
                    self.tell(
                        f"unsent results stay in the state and are sent at their owner's next start: {left['unsent']}"
                    )
                return
            if left["machines"] != told:
                told = left["machines"]
                self.tell(f"sending results and ending machines: {told} left")
            hurry.wait(0.5)
        self.tell("unsent results stay in the state and are sent at their owner's next start")

    async def _shut(self) -> dict[str, int]:
        secret = (self.layout.service / "vmm/hub-secret").read_text().strip()
        client = HubClient(self.vmm_url, secret, deadline_seconds=10)
        try:
            return await client.shut()
        finally:
            await client.close()

    def _end_machines(self) -> None:
        """End what VMM did not: a machine without its services is of no use, and its data is on its volumes."""
        with contextlib.suppress(AlcError, OSError):
            for machine in ask_launcher(self.layout.run, {"verb": "list"})["machines"]:
                ask_launcher(self.layout.run, {"verb": "end", "key": machine["key"]})


def _ending(status: int) -> str:
    return f"signal {-status}" if status < 0 else f"exit code {status}"
