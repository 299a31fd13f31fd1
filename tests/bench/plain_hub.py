"""The Hub beside ours: JupyterHub as it comes, its spawner `simple`, one user, on loopback."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from day.report import require
from day.system import CHECKOUT
from jupyter_alc.example.archive import sans_folder

if TYPE_CHECKING:
    from collections.abc import Iterator


def _free_ports(count: int) -> list[int]:
    with ExitStack() as held:
        return [held.enter_context(socket.create_server(("127.0.0.1", 0))).getsockname()[1] for _ in range(count)]


@contextmanager
def plain_hub(environment: Path) -> Iterator[tuple[str, str]]:
    """Run it with servers from `environment`; gives its address and ada's password. Her home has the same data."""
    state = Path(tempfile.mkdtemp(prefix="bench-"))
    data = state / "homes/ada/data"
    data.mkdir(parents=True)
    (data / "sans-examples").symlink_to(sans_folder())
    ports, password = _free_ports(3), secrets.token_urlsafe(16)
    told = {
        "BENCH_STATE": str(state),
        "BENCH_PORTS": " ".join(map(str, ports)),
        "BENCH_PASSWORD": password,
        "BENCH_ENVIRONMENT": str(environment),
        "BENCH_PROXY_TREE": str(CHECKOUT / "build/proxy/node_modules"),
        "PATH": os.environ["PATH"],
        "LANG": "C.UTF-8",
        "HOME": str(state),
    }
    config = Path(__file__).with_name("plain_config.py")
    with (state / "hub.log").open("w") as log:
        hub = subprocess.Popen(
            [sys.executable, "-P", "-m", "jupyterhub", "-f", str(config)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=told,
            cwd=state,
            start_new_session=True,
        )
    address = f"http://127.0.0.1:{ports[0]}"
    try:
        _wait(f"{address}/hub/login", hub, state / "hub.log")
        yield address, password
    finally:
        hub.send_signal(signal.SIGTERM)  # it ends its servers and its proxy
        try:
            hub.wait(30)
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(hub.pid, signal.SIGKILL)
            hub.wait()
        shutil.rmtree(state)


def _wait(url: str, hub: subprocess.Popen[bytes], log: Path, seconds: float = 120) -> None:
    until = time.monotonic() + seconds
    while True:
        alive = hub.poll() is None and time.monotonic() < until
        require(alive, f"the plain Hub did not start: {log.read_text()[-2000:]}")
        with suppress(OSError, urllib.error.URLError), urllib.request.urlopen(url, timeout=5):
            return
        time.sleep(0.2)
