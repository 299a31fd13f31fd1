"""Starting programs that end with their parent, and finding what belongs to a cluster (Linux)."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

from jupyter_alc.piezo.plan import MARK, ProcessPlan

if TYPE_CHECKING:
    from collections.abc import Mapping

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True)


def _end_with(parent: int) -> None:
    """In the child, before the program: be killed when the parent's main thread ends, also by SIGKILL."""
    os.umask(0o077)
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it ended before we could ask
        os._exit(1)


async def start(process: ProcessPlan) -> asyncio.subprocess.Process:
    """Start `process` as a child that cannot outlive us; call from the main thread. Its output goes to its log."""
    parent = os.getpid()
    log = os.open(process.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        return await asyncio.create_subprocess_exec(
            *process.arguments,
            env=dict(process.environment),
            cwd=process.log.parent,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            preexec_fn=lambda: _end_with(parent),
            start_new_session=True,
        )
    finally:
        os.close(log)


async def start_talking(
    arguments: tuple[str, ...], environment: Mapping[str, str], folder: Path, log: Path
) -> asyncio.subprocess.Process:
    """Start a program we speak with by its input and output; it cannot outlive us either. Errors go to `log`."""
    parent = os.getpid()
    errors = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        return await asyncio.create_subprocess_exec(
            *arguments,
            env=dict(environment),
            cwd=folder,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=errors,
            preexec_fn=lambda: _end_with(parent),
            start_new_session=True,
        )
    finally:
        os.close(errors)


def marked(folder: Path) -> list[int]:
    """Process ids of this user that carry the mark of the cluster in `folder`; zombies carry nothing."""
    wanted = os.fsencode(f"{MARK}={folder}")
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with contextlib.suppress(OSError):
                if wanted in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
    return found


def kill(pids: list[int]) -> None:
    """SIGKILL to each; those already gone are fine."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def tail(log: Path, size_bytes: int = 16384) -> str:
    """The end of a log as text; empty where there is none."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - size_bytes))
            return file.read().decode(errors="replace")
    except OSError:
        return ""
