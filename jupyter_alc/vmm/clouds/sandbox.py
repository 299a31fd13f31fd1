"""One program in a world of its own, made by bubblewrap as root: what it sees is listed here, nothing else is there.

Used for machines (a network of their own, root inside with few capabilities) and for the Hub (the host's network, an
ordinary uid). Without root there is no sandbox; the callers run the program as it is.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

from jupyter_alc.core.errors import AlcError, Missing

if TYPE_CHECKING:
    from collections.abc import Mapping

# mounting FUSE and volumes (SYS_ADMIN), becoming the user, making and owning the user's folders, ending the user's
# processes
MACHINE_CAPABILITIES: Final = (
    "CAP_SYS_ADMIN",
    "CAP_SETUID",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_KILL",
)
START_SECONDS: Final = 30.0  # a mount that hangs must not hold the launcher
_BECOMING: Final = ("CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP")
# a cgroup is joined before anything else is started, so that nothing escapes it
_JOIN: Final = """\
{ echo "$1" > /proc/self/oom_score_adj; } 2> /dev/null || :
shift
while [ "$1" != -- ]; do echo $$ > "$1"; shift; done
shift
exec "$@"
"""


@dataclass(frozen=True, slots=True)
class Bind:
    """A host folder or file shown inside."""

    source: Path
    at: str
    writable: bool = False


@dataclass(frozen=True, slots=True)
class Folder:
    """An empty folder made inside, on a tmpfs."""

    at: str
    mode: int = 0o755


@dataclass(frozen=True, slots=True)
class PrivateFile:
    """A file written inside before the program starts; it never touches the host's disk."""

    at: str
    content: bytes = field(repr=False)
    mode: int = 0o600


@dataclass(frozen=True, slots=True)
class Sandbox:
    """What to run and what it sees.

    `network` is the name of a network namespace (`ip netns`), None for the host's network. `identity` is (uid, gid):
    the program then has no capability, no groups and can gain nothing; None runs it as root with `capabilities` only.
    `etc` is a folder made by `filtered_etc`. `cgroups` are cgroup folders to join. `tmpfs_bytes` is the most each of
    /tmp, /run, /var, /home and /dev/shm may hold. A lower `oom_score_adj` is ended later when memory runs out (where
    the host lets us set it); children inherit it.
    """

    argv: tuple[str, ...]
    etc: Path
    hostname: str
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    binds: tuple[Bind, ...] = ()
    folders: tuple[Folder, ...] = ()
    files: tuple[PrivateFile, ...] = ()
    devices: tuple[str, ...] = ()
    network: str | None = None
    identity: tuple[int, int] | None = None
    capabilities: tuple[str, ...] = ()
    cgroups: tuple[Path, ...] = ()
    tmpfs_bytes: int = 1 << 30
    die_with_parent: bool = False
    oom_score_adj: int = 0


@dataclass(slots=True)
class Running:
    """A started sandbox: `process` is the outer bubblewrap, `init` the pid (on the host) that all inside ends with."""

    process: subprocess.Popen[bytes]
    init: int


def _base(sandbox: Sandbox) -> list[str]:
    size = str(sandbox.tmpfs_bytes)
    words = ["--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try", "--hostname", sandbox.hostname]
    words += ["--die-with-parent"] if sandbox.die_with_parent else []
    words += ["--ro-bind", "/usr", "/usr"]
    for name in ("bin", "sbin", "lib", "lib32", "lib64", "libx32"):
        if Path("/", name).is_symlink():
            words += ["--symlink", f"usr/{name}", f"/{name}"]
        elif Path("/", name).is_dir():
            words += ["--ro-bind", f"/{name}", f"/{name}"]
    words += ["--bind", str(sandbox.etc), "/etc", "--proc", "/proc", "--dev", "/dev"]
    for knob in ("/proc/sys", "/proc/sysrq-trigger"):
        words += ["--ro-bind-try", knob, knob]
    for device in sandbox.devices:
        words += ["--dev-bind", device, device]
    for at in ("/tmp", "/dev/shm"):  # noqa: S108  (the sandbox's own)
        words += ["--perms", "1777", "--size", size, "--tmpfs", at]
    for at in ("/run", "/var", "/home"):
        words += ["--perms", "0755", "--size", size, "--tmpfs", at]
    words += ["--perms", "0700", "--dir", "/root"]
    for at in ("/opt", "/opt/alc", "/srv", "/var/lib", "/run/alc"):
        words += ["--perms", "0755", "--dir", at]
    return [*words, "--perms", "1777", "--dir", "/var/tmp"]  # noqa: S108


def _arguments(sandbox: Sandbox, files: list[int]) -> list[str]:
    words = _base(sandbox)
    for folder in sandbox.folders:
        words += ["--perms", f"{folder.mode:04o}", "--dir", folder.at]
    for bind in sandbox.binds:
        words += ["--bind" if bind.writable else "--ro-bind", str(bind.source), bind.at]
    for private, descriptor in zip(sandbox.files, files, strict=True):
        words += ["--perms", f"{private.mode:04o}", "--file", str(descriptor), private.at]
    words += ["--cap-drop", "ALL"]
    for capability in _BECOMING if sandbox.identity else sandbox.capabilities:
        words += ["--cap-add", capability]
    return [*words, "--chdir", "/"]


def _program(sandbox: Sandbox) -> list[str]:
    if sandbox.identity is None:
        return list(sandbox.argv)
    uid, gid = sandbox.identity
    drop = [
        f"--reuid={uid}",
        f"--regid={gid}",
        "--clear-groups",
        "--no-new-privs",
        "--bounding-set=-all",
        "--inh-caps=-all",
    ]
    return ["/usr/bin/setpriv", *drop, "--", *sandbox.argv]


def _outside(sandbox: Sandbox) -> list[str]:
    join = [str(folder / "cgroup.procs") for folder in sandbox.cgroups]
    words = ["/bin/sh", "-c", _JOIN, "sh", str(sandbox.oom_score_adj), *join, "--"]
    return [*words, "nsenter", f"--net=/run/netns/{sandbox.network}", "--"] if sandbox.network else words


def _memory_file(content: bytes) -> IO[bytes]:
    held = tempfile.TemporaryFile()  # noqa: SIM115  (the caller closes it)
    held.write(content)
    held.seek(0)
    return held


def start(sandbox: Sandbox, output: IO[bytes] | int, stdin: int = subprocess.DEVNULL) -> Running:
    """Start `sandbox` in a session of its own, its output going to `output`; returns when bubblewrap has made its init.

    Neither the host's paths nor the environment stand in any process's arguments. Raises `Missing` without bubblewrap
    and when it could not start in `START_SECONDS`.
    """
    held = [_memory_file(private.content) for private in sandbox.files]
    words = _arguments(sandbox, [one.fileno() for one in held])
    told = _memory_file("\0".join(words).encode() + b"\0")
    info_read, info_write = os.pipe()
    command = [
        *_outside(sandbox),
        "bwrap",
        "--args",
        str(told.fileno()),
        "--info-fd",
        str(info_write),
        *_program(sandbox),
    ]
    try:
        process = subprocess.Popen(
            command,
            stdin=stdin,
            stdout=output,
            stderr=output,
            env=dict(sandbox.environment),
            pass_fds=[told.fileno(), info_write, *(one.fileno() for one in held)],
            start_new_session=True,
            cwd="/",
        )
    except FileNotFoundError as error:
        os.close(info_read)
        raise Missing("bubblewrap cannot be started.", next_step="Install it: apt-get install bubblewrap") from error
    finally:
        os.close(info_write)
        for one in (told, *held):
            one.close()
    with os.fdopen(info_read, "rb") as info:
        answer = info.read() if select.select([info], [], [], START_SECONDS)[0] else b""
    try:
        return Running(process, int(json.loads(answer)["child-pid"]))
    except (ValueError, KeyError, TypeError) as error:
        process.kill()
        process.wait()
        raise _not_started() from error


def _not_started() -> AlcError:
    return Missing("The sandbox could not be made.", next_step="Look at its log for bubblewrap's reason.")
