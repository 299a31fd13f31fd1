"""What answers already or still: an instance, a port, a page, the launcher."""

from __future__ import annotations

import json
import socket
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

from jupyter_alc.core.errors import Unavailable, from_json

if TYPE_CHECKING:
    from pathlib import Path


def running_at(state: Path) -> str | None:
    """The address of the instance that has this state, as it noted it."""
    try:
        return str(json.loads((state / "up.json").read_text())["address"])
    except (OSError, ValueError, KeyError):
        return None


def ask_launcher(run: Path, told: dict[str, Any], seconds: float = 60.0) -> dict[str, Any]:
    """Ask the launcher one thing; raises what it answered, or OSError."""
    with socket.socket(socket.AF_UNIX) as door:
        door.settimeout(seconds)
        door.connect(str(run / "launcher.sock"))
        door.sendall(json.dumps(told).encode() + b"\n")
        with door.makefile("rb") as answer:
            line = answer.readline()
    if not line:
        raise Unavailable("The launcher hung up.", next_step="Look at its log.")
    said: dict[str, Any] = json.loads(line)
    if "error" in said:
        raise from_json(said["error"])
    return said


def listens(address: str, port: int) -> bool:
    """Say whether anything listens there."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((address, port)) == 0


def answers(url: str) -> bool:
    """Say whether `url` answers with success; no proxy of the caller's environment is asked."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError, ValueError):
        return False
