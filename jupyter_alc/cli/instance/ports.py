"""Free ports, the same ones as last time where that is possible: machines that lived on know them."""

from __future__ import annotations

import json
import socket
import time
from typing import TYPE_CHECKING, Final

from jupyter_alc.core.errors import Conflict

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

INNER: Final = ("PROXY_API_PORT", "HUB_PORT", "VMM_PORT", "ARCHIVE_PORT")
_TRIES: Final = 100
FIRST_PORT, LAST_PORT = 1024, 65535


def is_free(port: int) -> bool:
    """Say whether nobody on this computer listens on `port`, on any address."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))  # bound for a moment, never listening
        except OSError:
            return False
    return True


def wait_until_free(ports: Iterable[int], seconds: float = 5.0) -> None:
    """Return when nobody listens on any of `ports`: what listened for a program that ended goes with a little delay.

    `Conflict` names the one that stays taken.
    """
    until = time.monotonic() + seconds
    for port in ports:
        while not is_free(port):
            if time.monotonic() > until:
                raise Conflict(
                    f"Port {port} is taken by another program.",
                    next_step=f"End that program: ss -tlnp 'sport = :{port}' names it.",
                    field="port",
                )
            time.sleep(0.1)


def _hold(port: int) -> socket.socket | None:
    """Hold a name for the port while the answer lives: of two that start at once only one may find it free."""
    hold = socket.socket(socket.AF_UNIX)
    try:
        hold.bind(f"\0jupyter-alc-port-{port}")
    except OSError:
        hold.close()
        return None
    return hold


def public_port(wanted: int) -> tuple[int, socket.socket]:
    """Return `wanted` or the next free port after it, and what holds it for us until it is closed.

    `Conflict` when a hundred in a row are taken.
    """
    for port in range(wanted, min(wanted + _TRIES, LAST_PORT + 1)):
        hold = _hold(port)
        if hold is not None and is_free(port):
            return port, hold
        if hold is not None:
            hold.close()
    raise Conflict(
        f"Ports {wanted} to {min(wanted + _TRIES - 1, LAST_PORT)} are all taken.",
        next_step="Give another --port.",
        field="port",
    )


def _any_port(taken: set[int]) -> int:
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        if port not in taken and is_free(port):
            return port


def inner_ports(memory: Path) -> dict[str, int]:
    """Return a port for each name of `INNER`, remembered in the file `memory`; one that cannot be had is replaced."""
    try:
        known = {name: int(port) for name, port in json.loads(memory.read_text()).items() if name in INNER}
    except (OSError, ValueError, AttributeError, TypeError, OverflowError):
        known = {}
    ports: dict[str, int] = {}
    for name in INNER:
        port = known.get(name, 0)
        fresh = not FIRST_PORT <= port <= LAST_PORT or port in ports.values() or not is_free(port)
        ports[name] = _any_port(set(ports.values())) if fresh else port
    memory.write_text(json.dumps(ports))
    return ports
