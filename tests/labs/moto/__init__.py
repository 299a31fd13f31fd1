"""moto's S3: quick and without any right, for what a server says; never for what it guarantees."""

from __future__ import annotations

import subprocess
import sys
import urllib.request
from typing import Any

from labs.buckets import Buckets
from labs.lab import Lab, free_ports, wait_until


class Moto(Buckets, Lab):
    """One process; knows no users, so any keys will do."""

    def start(self) -> dict[str, Any]:
        """Start it on a free port."""
        (self.place / "log").mkdir(parents=True)
        [port] = free_ports(1)
        with (self.place / "log/moto").open("wb") as log:
            command = [sys.executable, "-W", "ignore", "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
            self._process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        self.note_process("moto", self._process.pid)
        told = {"endpoint": f"http://127.0.0.1:{port}", "region": "us-east-1", "access_key": "a", "secret_key": "s"}
        wait_until(lambda: _answers(told["endpoint"]), "moto", 60)
        return told

    def answers(self) -> bool:
        """Whether it answers."""
        return _answers(self.state["endpoint"])

    def down(self) -> None:
        """Stop it, and bury it where we are its parent."""
        super().down()
        if process := self.__dict__.pop("_process", None):
            process.wait()


def _answers(endpoint: str) -> bool:
    try:
        with urllib.request.urlopen(f"{endpoint}/moto-api/", timeout=5) as answer:
            return answer.status == 200
    except OSError:
        return False
