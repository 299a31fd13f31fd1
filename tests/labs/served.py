"""What labs that serve one folder share: the process, and planting behind the server's back."""

from __future__ import annotations

import subprocess
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

from labs.lab import Lab, wait_until

if TYPE_CHECKING:
    from pathlib import Path


class ServedFolder(Lab):
    """One process that serves `files`; its `state` has `port` and `url`."""

    _process: subprocess.Popen[bytes]

    @property
    def files(self) -> Path:
        """The folder that is served."""
        return self.place / "files"

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        return "127.0.0.1", int(self.state["port"])

    def put(self, path: str, data: bytes) -> None:
        """Plant a file in one step; folders are made."""
        whole = self.place / "plant"
        whole.write_bytes(data)
        (self.files / path).parent.mkdir(parents=True, exist_ok=True)
        whole.replace(self.files / path)

    def answers(self) -> bool:
        """Whether anything is answered there; a refusal is an answer."""
        return _answers(self.state["url"])

    def down(self) -> None:
        """Stop it, and bury it where we are its parent."""
        super().down()
        if process := self.__dict__.pop("_process", None):
            process.wait()

    def _serve(self, port: int, url: str, *command: str) -> dict[str, Any]:
        """Start the process and wait until it answers at `url`."""
        name = type(self).__name__.lower()
        with (self.place / f"log/{name}").open("wb") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        self.note_process(name, self._process.pid)
        wait_until(lambda: _answers(url) and self._process.poll() is None, name, 60)
        return {"port": port, "url": url}


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except urllib.error.HTTPError as error:
        error.close()
        return True
    except OSError:
        return False
