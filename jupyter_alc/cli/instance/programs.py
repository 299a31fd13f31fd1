"""The instance's programs: started with a log each, in sandboxes as root, ended by their own ids."""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from jupyter_alc.cli.instance.layout import ARCHIVE_UID, ENV_AT, SERVICE_UID
from jupyter_alc.core.errors import TooLate, Unavailable
from jupyter_alc.vmm.clouds.etc import filtered_etc
from jupyter_alc.vmm.clouds.sandbox import Bind, Folder, Sandbox, start

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Mapping, Sequence

    from jupyter_alc.cli.instance.layout import Layout

LONGEST_LOG = 50 * 1000**2
_TRACE = "Traceback (most recent call last)"
CODE_AT = "/opt/alc/code"
PROXY_AT = "/opt/alc/proxy/node_modules"
CONFIG_AT = "/opt/alc/hub_config"


@dataclass(slots=True)
class Program:
    """A program of ours; `init` is the first process of its sandbox, where it has one.

    Its log is from `log_start` on; what stands before, an earlier one wrote.
    """

    name: str
    process: subprocess.Popen[bytes]
    log: Path
    log_start: int
    init: int | None = None

    def ended(self) -> int | None:
        """The exit status once it ended."""
        return self.process.poll()

    def main_pid(self) -> int:
        """The process that is told to end: below a sandbox's first one."""
        if self.init is not None:
            with contextlib.suppress(OSError, IndexError, ValueError):
                return int(Path(f"/proc/{self.init}/task/{self.init}/children").read_text().split()[0])
        return self.process.pid

    def stop(self, seconds: float) -> None:
        """Ask it to end, then make it; everything in its sandbox goes with it."""
        if self.ended() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.main_pid(), signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(seconds)
        if self.ended() is None:
            self.process.kill()
        if self.init is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def last_words(self) -> str:
        """The last line of its log; nothing when it ended in a way that nobody foresaw: a trace stays in the log."""
        with self.log.open("rb") as file:
            file.seek(self.log_start)
            said = file.read().decode(errors="replace")
        lines = [line.strip() for line in said.splitlines() if line.strip()]
        return "" if _TRACE in said or not lines else lines[-1][:300]


def base_environment(layout: Layout) -> dict[str, str]:
    """What every program of ours on the host starts with: nothing of the caller's but the essentials."""
    kept = {name: os.environ[name] for name in ("HOME", "LANG", "LOGNAME", "USER", "TZ") if name in os.environ}
    told = {"LANG": "C.UTF-8", **kept, "PATH": f"{layout.environment}/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"}
    return {**told, "PYTHONPATH": f"{layout.code}:{layout.code / 'spawners'}"} if layout.code else told


def _open_log(layout: Layout, name: str) -> IO[bytes]:
    path = layout.logs / f"{name}.log"
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab")


def keep_short(log: Path, most_bytes: int = LONGEST_LOG) -> None:
    """Begin a log anew when it has grown large: nobody may fill the disk by it.

    What it held is kept beside it, once; not on a disk that is full already.
    """
    older = log.with_name(f"{log.name}.1")
    with contextlib.suppress(OSError):
        if log.stat().st_size <= most_bytes:
            return
        try:
            shutil.copyfile(log, older)
        except OSError:
            older.unlink(missing_ok=True)
        os.truncate(log, 0)  # whoever writes it appends


def start_launcher(layout: Layout, ports: Sequence[int]) -> tuple[Program, dict[str, Any]]:
    """Start the launcher and return it with what it said when it was ready. Raises `Unavailable` with its reason."""
    words = ["--state", str(layout.state), "--run", str(layout.run), "--environments", str(layout.environments)]
    words += ["--code", str(layout.code)] if layout.code else []
    if layout.root:
        words += ["--service-uid", str(SERVICE_UID), *(word for port in ports for word in ("--port", str(port)))]
        if address := os.environ.get("ALC_SERVICE_ADDRESS"):
            words += ["--service-address", address]
    with _open_log(layout, "launcher") as log:
        begins = log.tell()
        process = subprocess.Popen(
            [*_with_us(), sys.executable, "-P", "-m", "jupyter_alc.vmm.clouds.launcher", *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            env=base_environment(layout),
            cwd="/",
            start_new_session=True,
        )
    program = Program("launcher", process, layout.logs / "launcher.log", begins)
    assert process.stdout is not None
    if select.select([process.stdout], [], [], 60)[0] and (line := process.stdout.readline()):
        return program, json.loads(line)
    program.stop(5)
    raise _not_started("The launcher", program)


def _with_us() -> list[str]:
    """Words that make the kernel end a program when this one is killed."""
    return ["/usr/bin/setpriv", "--pdeathsig", "TERM", "--"]


def _plain(layout: Layout, name: str, argv: Sequence[str], environment: Mapping[str, str]) -> Program:
    with _open_log(layout, name) as log:
        begins = log.tell()
        process = subprocess.Popen(
            [*_with_us(), *argv],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**base_environment(layout), **environment},
            cwd="/",
            start_new_session=True,
        )
    return Program(name, process, layout.logs / f"{name}.log", begins)


def _sandboxed(
    layout: Layout, name: str, argv: Sequence[str], environment: Mapping[str, str], *, binds: Sequence[Bind], uid: int
) -> Program:
    etc = filtered_etc(layout.state / "etc" / name, name, [(name, uid, uid)])
    told = {"PATH": f"{ENV_AT}/bin:/usr/bin:/bin:/usr/sbin:/sbin", "LANG": "C.UTF-8", "USER": name, "LOGNAME": name}
    code = [Bind(layout.code, CODE_AT)] if layout.code else []
    path = {"PYTHONPATH": f"{CODE_AT}:{CODE_AT}/spawners"} if layout.code else {}
    sandbox = Sandbox(
        argv=tuple(argv),
        etc=etc,
        hostname=name,
        environment={**told, **path, **environment},
        binds=(Bind(layout.environment, ENV_AT), *code, *binds),
        folders=(Folder("/opt/alc/proxy"),),
        identity=(uid, uid),
        die_with_parent=True,
    )
    with _open_log(layout, name) as log:
        begins = log.tell()
        running = start(sandbox, log)
    return Program(name, running.process, layout.logs / f"{name}.log", begins, running.init)


def start_archive(layout: Layout, address: str, port: int) -> Program:
    """Start the example archive under a uid of its own, which alone can read what it keeps."""
    at = "/var/lib/archive" if layout.root else str(layout.archive)
    python = f"{ENV_AT}/bin/python" if layout.root else sys.executable
    argv = [python, "-P", "-m", "jupyter_alc.example.archive", "--host", address, "--port", str(port)]
    argv += ["--root", at, "--accounts", f"{at}/accounts.json", "--log", f"{at}/requests.log"]
    if not layout.root:
        return _plain(layout, "archive", argv, {})
    binds = [Bind(layout.archive, at, writable=True)]
    return _sandboxed(layout, "archive", argv, {"HOME": at}, binds=binds, uid=ARCHIVE_UID)


def start_forwarding(layout: Layout, address: str, port: int, to: str) -> Program:
    """Start what passes on to an archive elsewhere, under the uid of the example archive, in whose place it is."""
    python = f"{ENV_AT}/bin/python" if layout.root else sys.executable
    argv = [python, "-P", "-m", "jupyter_alc.cli.instance.forwarding", "--listen", f"{address}:{port}", "--to", to]
    if not layout.root:
        return _plain(layout, "archive", argv, {})
    return _sandboxed(layout, "archive", argv, {}, binds=[], uid=ARCHIVE_UID)


def start_hub(layout: Layout, settings: Mapping[str, str]) -> Program:
    """Start the Hub, which starts the proxy and VMM; `settings` are the ALC_* that its configuration reads."""
    if not layout.root:
        config = layout.hub_config / "jupyterhub_config.py"
        argv = [sys.executable, "-P", "-m", "jupyterhub", "-f", str(config)]
        places = {"ALC_STATE": str(layout.service), "ALC_RUN": str(layout.run)}
        return _plain(layout, "hub", argv, {**settings, **places, "ALC_PROXY_TREE": str(layout.proxy_tree)})
    argv = [f"{ENV_AT}/bin/python", "-P", "-m", "jupyterhub", "-f", f"{CONFIG_AT}/jupyterhub_config.py"]
    places = {"ALC_STATE": "/var/lib/alc", "ALC_RUN": "/run/alc", "HOME": "/var/lib/alc", "ALC_PROXY_TREE": PROXY_AT}
    binds = [
        Bind(layout.proxy_tree, PROXY_AT),
        Bind(layout.hub_config, CONFIG_AT),
        Bind(layout.service, "/var/lib/alc", writable=True),
        Bind(layout.run, "/run/alc"),
        Bind(layout.run / "hub", "/run/alc/hub", writable=True),
    ]
    return _sandboxed(layout, "hub", argv, {**settings, **places}, binds=binds, uid=SERVICE_UID)


def end_left_proxy(pid_file: Path) -> None:
    """End the proxy of a Hub that was killed outside a sandbox; only if the id is still a proxy's."""
    with contextlib.suppress(OSError, ValueError):
        pid = int(pid_file.read_text())
        if b"configurable-http-proxy" in Path(f"/proc/{pid}/cmdline").read_bytes():
            os.kill(pid, signal.SIGTERM)
            time.sleep(0.2)
    pid_file.unlink(missing_ok=True)  # in a sandbox the number may be another program's now


def wait_for(seconds: float, what: str, program: Program, seen: Callable[[], bool], stop: threading.Event) -> bool:
    """Ask `seen()` until it is true, and return True; False when told to `stop` meanwhile.

    Raises `Unavailable` when the program ended meanwhile, `TooLate` after `seconds`.
    """
    until = time.monotonic() + seconds
    while not seen():
        if stop.is_set():
            return False
        if program.ended() is not None:
            raise _not_started(what, program)
        if time.monotonic() > until:
            raise TooLate(f"{what} did not answer within {seconds:.0f} s.", next_step=f"Look at {program.log}.")
        stop.wait(0.1)
    return True


def _not_started(what: str, program: Program) -> Unavailable:
    return Unavailable(f"{what} did not start. {program.last_words()}".strip(), next_step=f"Look at {program.log}.")
