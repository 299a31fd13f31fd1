"""Proves, as the person, that her datasets are readable: each root is listed, the first block of one file is read.

Runs as a program of its own under her uid, without the environment's packages: a JSON object on stdin, one on stdout.
A dataset without a file proves its listing only; of several files the smallest is read, so that the proof costs little.
The way is hers too: the folder `mount`, or the daemon's `socket` where nothing can be mounted.
"""

from __future__ import annotations

import errno
import json
import os
import sys
import time

BLOCK = 4096
_DEEPEST = 3
_SECONDS = 60.0


class Folder:
    """The datasets below a mount."""

    def __init__(self, mount: str) -> None:
        self._mount = mount

    def entries(self, path: str) -> list[tuple[str, int | None]]:
        """Return names and sizes of the files and folders in `path`; a folder has no size. Raises OSError."""
        found: list[tuple[str, int | None]] = []
        with os.scandir(self._at(path)) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    found.append((entry.name, None))
                elif entry.is_file(follow_symlinks=False):
                    found.append((entry.name, entry.stat(follow_symlinks=False).st_size))
        return found

    def first_block(self, path: str) -> int:
        """Read the first block and return how many bytes it has. Raises OSError."""
        with open(self._at(path), "rb") as file:  # noqa: PTH123
            return len(file.read(BLOCK))

    def _at(self, path: str) -> str:
        return os.path.join(self._mount, path)  # noqa: PTH118  (starts in 20 ms because it imports so little)


class Socket:
    """The same through the daemon's socket."""

    def __init__(self, place: str) -> None:
        self._place = place

    def entries(self, path: str) -> list[tuple[str, int | None]]:
        """As of a folder. Raises OSError."""
        told = json.loads(self._ask("ls", path))["entries"]
        return [(one["name"], None if one["type"] == "directory" else int(one["size"] or 0)) for one in told]

    def first_block(self, path: str) -> int:
        """As of a folder. Raises OSError."""
        return len(self._ask("read", path, f"&start=0&stop={BLOCK}"))

    def _ask(self, verb: str, path: str, more: str = "") -> bytes:
        import http.client  # noqa: PLC0415  (only where there is no mount)
        import socket  # noqa: PLC0415
        from urllib.parse import quote  # noqa: PLC0415

        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(_SECONDS)
            line.connect(self._place)
            asked = http.client.HTTPConnection("dms")
            asked.sock = line
            try:
                asked.request("GET", f"/v1/{verb}?path={quote(path)}{more}")
                answer = asked.getresponse()
                body = answer.read()
            except http.client.HTTPException as error:
                raise OSError(errno.EIO, "the data service broke off") from error
        if answer.status >= 400:
            told = json.loads(body)
            away = told["code"] in {"archive_unreachable", "too_late"}
            raise OSError(errno.EIO if away else errno.EACCES, str(told["message"]).rstrip("."))
        return body


def smallest_file(tree: Folder | Socket, folder: str, depth: int = 0) -> str | None:
    """Return the smallest file of `folder` that is not empty, or one of its first folder that has one."""
    entries = [(f"{folder}/{name}", size) for name, size in tree.entries(folder)]
    files = [(size, path) for path, size in entries if size]
    if files:
        return min(files)[1]
    folders = [path for path, size in entries if size is None]
    return smallest_file(tree, min(folders), depth + 1) if folders and depth < _DEEPEST else None


def prove(tree: Folder | Socket, dataset: str) -> dict[str, object]:
    """List the root of `dataset` and read the first block of one of its files. Raises OSError."""
    began = time.monotonic()
    path = smallest_file(tree, dataset)
    read = tree.first_block(path) if path else 0
    return {"dataset": dataset, "bytes_read": read, "seconds": round(time.monotonic() - began, 3)}


def reason(error: OSError) -> str:
    """Say why a dataset cannot be read, in words for its user."""
    if isinstance(error, TimeoutError):
        return "its archive does not answer in time"
    return "its archive does not answer" if error.errno == errno.EIO else error.strerror or str(error)


def main() -> int:
    """Prove every dataset named on stdin; the first that fails is told, with the reason."""
    told = json.load(sys.stdin)
    tree = Socket(told["socket"]) if "socket" in told else Folder(told["mount"])
    proved = []
    for dataset in told["datasets"]:
        try:
            proved.append(prove(tree, dataset))
        except OSError as error:
            json.dump({"proved": proved, "failed": dataset, "reason": reason(error)}, sys.stdout)
            return 1
    json.dump({"proved": proved}, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
