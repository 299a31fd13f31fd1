"""The warm parent: a process that has imported a Jupyter server and waits; at the claim it forks into the user's.

    python -m jupyter_alc.vmm.agent.warm FD

It has one thread, no event loop and nothing of any user. Over the socket FD it says `{"warm": true, "seconds"}`, takes
`{"fork": {...}}`, answers `{"pid"}` and tells `{"ended": pid, "status"}`. It ends when the agent hangs up.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import gc
import importlib
import json
import os
import random
import resource
import select
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any, Final, NoReturn

from jupyter_alc.vmm.agent.seal import forbid_user_namespaces, leave_session_keyring

# `jupyterhub.singleuser.app` must not be among them: it patches the handlers for the old style
WANTED: Final = (
    "jupyterlab.labapp",
    "jupyter_server.serverapp",
    "jupyter_server.services.contents.largefilemanager",
    "jupyter_server_terminals.app",
    "jupyter_lsp",
    "jupyterhub.singleuser.extension",
    "ipykernel",
    "IPython",
    "httpcore",
    "nbconvert",
    "nbconvert.exporters",
    "jupyter_alc.server.app",
)
_PR_SET_DUMPABLE, _PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS = 4, 24, 38
_CAPABILITIES: Final = 64  # more than there are: a number without one is refused, which is fine
_MOST_FILES: Final = 4096
_KEEP_SIZE, _LOG_ROOM = 1, 256 * 1024
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_MOST_PROCESSES: Final = 6144  # threads count; the machine's own 8192 leave the agent room to end them


def warm_up() -> list[str]:
    """Import what a server needs; returns what is not there."""
    missing = []
    for name in WANTED:
        try:
            importlib.import_module(name)
        except ImportError:
            missing.append(name)
    gc.collect()
    gc.freeze()
    return missing


def become(told: dict[str, Any]) -> None:
    """Turn this process into the person's: her ids (when we are root), environment, folder and log; nothing of ours."""
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    signal.set_wakeup_fd(-1)
    os.setsid()
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("500")
    libc = ctypes.CDLL(None)
    if os.getuid() == 0:
        for capability in range(_CAPABILITIES):
            libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)
        os.initgroups(told["name"], told["gid"])
        resource.setrlimit(resource.RLIMIT_NPROC, (_MOST_PROCESSES, _MOST_PROCESSES))
        os.setresgid(told["gid"], told["gid"], told["gid"])
        os.setresuid(told["uid"], told["uid"], told["uid"])
        leave_session_keyring()
        forbid_user_namespaces()
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    libc.prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0)  # else her own server could not look into its /proc/self
    os.closerange(3, _MOST_FILES)
    output = open_log(Path(told["log"]), Path(told["environment"]["XDG_RUNTIME_DIR"]))
    nothing = os.open(os.devnull, os.O_RDONLY)
    for target, source in ((0, nothing), (1, output), (2, output)):
        os.dup2(source, target)
    os.closerange(3, _MOST_FILES)
    os.environ.clear()
    os.environ.update(told["environment"])
    os.chdir(told["home"])
    os.umask(0o022)
    with contextlib.suppress(OSError):  # says that nothing of IPython 3 is to be moved; on a full disk it could not
        Path(".jupyter").mkdir(mode=0o700, exist_ok=True)
        Path(".jupyter/migrated").touch()
    random.seed()


def open_log(log: Path, elsewhere: Path) -> int:
    """Open the log, with room kept for it, in the folder `elsewhere` if its own disk is full.

    A kernel that cannot say a word there does not start, so she could not even remove what fills her home.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    for place in (log, elsewhere / log.name):
        with contextlib.suppress(OSError):
            place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            output = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
            end, room = ctypes.c_int64(os.fstat(output).st_size), ctypes.c_int64(_LOG_ROOM)
            if libc.fallocate(output, _KEEP_SIZE, end, room) == 0 or ctypes.get_errno() not in _FULL:
                return output
            os.close(output)
    return os.open(os.devnull, os.O_WRONLY)


def home_arguments() -> list[str]:
    """Say anew what was read from HOME at import: Lab's folders as arguments, the trash in place."""
    trash = sys.modules.get("send2trash.plat_other")
    if trash is not None:
        importlib.reload(trash)
    commands = sys.modules.get("jupyterlab.commands")
    if commands is None:
        return []
    return [
        f"--LabApp.user_settings_dir={commands.get_user_settings_dir()}",
        f"--LabApp.workspaces_dir={commands.get_workspaces_dir()}",
    ]


def serve(told: dict[str, Any]) -> NoReturn:
    """Be the person's server until it ends; never returns into the parent's code."""
    status = 1
    try:
        become(told)
        sys.argv = ["jupyterhub-singleuser", *home_arguments(), *told["args"]]
        importlib.import_module("jupyterhub.singleuser").main()
        status = 0
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else 1
    except BaseException:  # noqa: BLE001  (whatever it is, it must not run on in a copy of the parent)
        sys.excepthook(*sys.exc_info())
    finally:
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


def _say(agent: socket.socket, told: dict[str, Any]) -> None:
    agent.sendall(json.dumps(told).encode() + b"\n")


def _reap(agent: socket.socket) -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        _say(agent, {"ended": pid, "status": os.waitstatus_to_exitcode(status)})


def wait(agent: socket.socket) -> None:
    """Fork when the agent says so, tell it who ended; returns when it hangs up."""
    woken, waker = socket.socketpair()
    for one in (woken, waker):
        one.setblocking(False)
    signal.set_wakeup_fd(waker.fileno())
    signal.signal(signal.SIGCHLD, lambda *_: None)
    held = b""
    while True:
        ready, _, _ = select.select([agent, woken], [], [])
        if woken in ready:
            with contextlib.suppress(BlockingIOError):
                woken.recv(4096)
            _reap(agent)
        if agent in ready:
            more = agent.recv(1 << 16)
            if not more:
                return
            *lines, held = (held + more).split(b"\n")
            for line in lines:
                _fork(agent, json.loads(line)["fork"])


def _fork(agent: socket.socket, told: dict[str, Any]) -> None:
    pid = os.fork()
    if pid == 0:
        serve(told)
    _say(agent, {"pid": pid})


def main() -> int:
    """Warm up, say so, and wait."""
    began = time.monotonic()
    with socket.socket(fileno=int(sys.argv[1])) as agent:
        missing = warm_up()
        _say(agent, {"warm": True, "seconds": round(time.monotonic() - began, 2), "missing": missing})
        wait(agent)
    return 0


if __name__ == "__main__":
    sys.exit(main())
