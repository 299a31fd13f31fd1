"""A real archive for tests: the example's WebDAV server as a process, stopped and started again on the same port."""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from jupyter_alc.core.dataset import Access, MountedDataset

SECONDS: Final = 60.0
_PASSWORDS: Final = {"ada": "the-engine", "brahe": "the-quadrant"}


@dataclass
class ArchiveService:
    """One server on a folder of its own; `results("ada")` is where her files lie, to plant and look behind its back."""

    place: Path
    port: int = 0
    process: subprocess.Popen[bytes] | None = None

    def results(self, user: str = "ada") -> Path:
        """The folder on disk of one person's results."""
        folder = self.place / "files" / "results" / user
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def dataset(self, user: str = "ada", access: Access = Access.WRITE, *, published: bool = False) -> MountedDataset:
        """This person's results as a machine gets them."""
        url = f"http://127.0.0.1:{self.port}/results/{user}"
        secret = {"username": user, "password": _PASSWORDS[user]}
        return MountedDataset("results", "Results", "webdav", url, access, published=published, credentials=secret)

    def requests(self) -> list[dict[str, Any]]:
        """What was asked of it, in order."""
        log = self.place / "requests.jsonl"
        return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []

    def start(self) -> None:
        """Start it, or start it again where it was."""
        self.port = self.port or _free_port()  # named from the start, so that it can be bound again at once
        accounts = self.place / "accounts.json"
        accounts.write_text(json.dumps(_PASSWORDS))
        accounts.chmod(0o600)
        for user in _PASSWORDS:
            self.results(user)
        options = {
            "--host": "127.0.0.1",
            "--port": str(self.port),
            "--root": str(self.place / "files"),
            "--accounts": str(accounts),
            "--log": str(self.place / "requests.jsonl"),
        }
        command = [
            sys.executable,
            "-m",
            "jupyter_alc.example.archive",
            *(word for pair in options.items() for word in pair),
        ]
        root = str(Path(__file__).parents[2])
        path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH", "")]))
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, start_new_session=True, env={**os.environ, "PYTHONPATH": path}
        )
        assert self.process.stdout is not None
        if not select.select([self.process.stdout], [], [], SECONDS)[0]:
            self.stop()
            raise TimeoutError("The archive said nothing.")
        assert json.loads(self.process.stdout.readline())["ready"]

    def stop(self) -> None:
        """Stop it; its files stay."""
        process, self.process = self.process, None
        if process is not None:
            process.terminate()
            try:
                process.wait(SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if process.stdout is not None:
                process.stdout.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
