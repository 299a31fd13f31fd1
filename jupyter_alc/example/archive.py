"""A facility's archive in small: real scattering data over WebDAV, read-only, and a folder of results for each person.

    python -m jupyter_alc.example.archive --host H --port P --root DIR --accounts FILE --log FILE

`/sans-examples` is sasdata's example data, for everybody with an account; `/results/<user>` is that account's alone.
The accounts are read again when their file changes. The log has one JSON object a line: time, user, method, path,
status, range, bytes_sent, bytes_received (heads counted as well as bodies). It prints one JSON line when it serves.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import errno
import json
import os
import signal
import sys
import threading
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cheroot import wsgi
from wsgidav.dav_error import HTTP_FORBIDDEN, HTTP_INSUFFICIENT_STORAGE, DAVError
from wsgidav.error_printer import ErrorPrinter
from wsgidav.fs_dav_provider import FileResource, FilesystemProvider, FolderResource
from wsgidav.http_authenticator import HTTPAuthenticator
from wsgidav.mw.base_mw import BaseMiddleware
from wsgidav.request_resolver import RequestResolver
from wsgidav.wsgidav_app import WsgiDAVApp

from jupyter_alc.core.errors import BadFile, Missing
from jupyter_alc.core.names import slug
from jupyter_alc.dms.catalogue import url_part

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

READ_ONLY_SHARE = "/sans-examples"
RESULTS = "results"


class _File(FileResource):  # type: ignore[misc]
    """A file whose move replaces in one step; the library's own removes the target first."""

    def handle_move(self, dest_path: str) -> bool:
        """Rename on the disk; True says that it is done."""
        if self.provider.readonly:
            raise DAVError(HTTP_FORBIDDEN)
        Path(self._file_path).replace(self.provider._loc_to_file_path(dest_path, self.environ))  # noqa: SLF001
        return True


class _Folder(FolderResource):  # type: ignore[misc]
    """A folder without what Python keeps in it for itself."""

    def get_member_names(self) -> list[str]:
        """The names in it, sorted."""
        return sorted(name for name in super().get_member_names() if name not in {"__pycache__", "__init__.py"})


class _Provider(FilesystemProvider):  # type: ignore[misc]
    """A folder of the disk, its files ours."""

    def is_readonly(self) -> bool:
        """As it was made; the library's own answer is always no, and with it every verb would be offered."""
        return bool(self.readonly)

    def get_resource_inst(self, path: str, environ: dict[str, Any]) -> Any:
        """As the library's, with our kind of file."""
        found = super().get_resource_inst(path, environ)
        if found is None:
            return None
        if isinstance(found, FolderResource):
            return _Folder(path, environ, found._file_path)  # noqa: SLF001
        return _File(path, environ, found._file_path)  # noqa: SLF001


class _FullDisk(BaseMiddleware):  # type: ignore[misc]
    """Tells a full disk by the status there is for it; the library's own answer is 500."""

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterator[bytes]:
        """Answer as the library does, but for a full disk."""
        try:
            yield from self.next_app(environ, start_response)
        except (DAVError, OSError) as error:
            cause = error.src_exception if isinstance(error, DAVError) else error
            if isinstance(cause, OSError) and cause.errno in {errno.ENOSPC, errno.EDQUOT}:
                raise DAVError(HTTP_INSUFFICIENT_STORAGE) from error
            raise


def sans_folder() -> Path:
    """Where sasdata's example data lies; `Missing` without the package."""
    try:
        return Path(str(files("sasdata") / "example_data"))
    except ModuleNotFoundError as error:
        raise Missing("The example archive's data is not installed.", next_step="Install sasdata 0.11.0.") from error


def read_accounts(path: Path) -> dict[str, str]:
    """Read `{user: password}`; `BadFile` says what is wrong."""
    try:
        told = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise BadFile(f"{path} cannot be read as JSON.", next_step='Write {"user": "password", …}.') from error
    if not isinstance(told, dict) or not all(isinstance(word, str) and word for pair in told.items() for word in pair):
        raise BadFile(f"{path} is not a table of users.", next_step='Write {"user": "password", …}.')
    return told


def make_app(root: Path, accounts: dict[str, str], examples: Path | None = None) -> WsgiDAVApp:
    """Build the WebDAV application: shares and who may enter each."""
    shares: dict[str, Any] = {READ_ONLY_SHARE: _Provider(str(examples or sans_folder()), readonly=True)}
    users = {name: {"password": password} for name, password in accounts.items()}
    doors: dict[str, Any] = {READ_ONLY_SHARE: users or {"": {"password": os.urandom(16).hex()}}}
    for name in accounts:
        folder = root / RESULTS / slug(name)
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        shares[f"/{RESULTS}/{url_part(name)}"] = _Provider(str(folder), readonly=False)
        doors[f"/{RESULTS}/{url_part(name)}"] = {name: users[name]}
    return WsgiDAVApp(
        {
            "provider_mapping": shares,
            "simple_dc": {"user_mapping": {"*": {"": {"password": os.urandom(16).hex()}}, **doors}},
            "http_authenticator": {"accept_basic": True, "accept_digest": False, "default_to_digest": False},
            "middleware_stack": [ErrorPrinter, _FullDisk, HTTPAuthenticator, RequestResolver],
            "lock_storage": None,
            "property_manager": None,
            "verbose": 0,
            "logging": {"enable": False},
        }
    )


class Archive:
    """The application with its log, made anew when the accounts change."""

    def __init__(self, root: Path, accounts: Path, log: Path, examples: Path | None = None) -> None:
        self._root, self._accounts, self._log, self._examples = root, accounts, log, examples
        self._lock = threading.Lock()
        self._seen = -1
        self._app: Any = None
        log.touch(mode=0o600)
        self._current()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterator[bytes]:
        """Answer one request and write its line."""
        status: list[str] = []
        heads: list[tuple[str, str]] = []

        def started(line: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            status[:], heads[:] = [line], headers
            return start_response(line, headers, *rest)

        body = self._current()(environ, started)
        sent, last = 0, b""
        try:
            for piece in body:
                if environ["REQUEST_METHOD"] == "HEAD":
                    continue  # the library gives its error pages a body even then
                if last:
                    yield last
                last, sent = piece, sent + len(piece)
        finally:
            if hasattr(body, "close"):
                body.close()
            head = sum(len(name) + len(str(value)) + 4 for name, value in heads) + len(status[0] if status else "") + 11
            self._write(environ, status[0] if status else "500", sent + head)
        if last:  # only now, so that whoever has the whole answer finds its line in the log
            yield last

    def _current(self) -> Any:
        with self._lock:
            changed = self._accounts.stat().st_mtime_ns
            if changed != self._seen:
                self._app = make_app(self._root, read_accounts(self._accounts), self._examples)
                self._seen = changed
            return self._app

    def _write(self, environ: dict[str, Any], status: str, sent: int) -> None:
        line = {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "user": _user(environ),
            "method": environ["REQUEST_METHOD"],
            "path": environ.get("wsgi_path") or environ.get("REQUEST_URI") or environ.get("PATH_INFO", ""),
            "status": int(status.split(" ", maxsplit=1)[0]),
            "range": environ.get("HTTP_RANGE"),
            "bytes_sent": sent,
            "bytes_received": int(environ.get("CONTENT_LENGTH") or 0) + _head_bytes(environ),
        }
        with (
            self._lock,
            contextlib.suppress(OSError),
            self._log.open("a") as log,
        ):  # on a full disk: answer all the same
            log.write(json.dumps(line) + "\n")


def _user(environ: dict[str, Any]) -> str | None:
    """Who said to be asking; never the password."""
    kind, _, word = str(environ.get("HTTP_AUTHORIZATION", "")).partition(" ")
    if kind.lower() != "basic":
        return None
    try:
        return base64.b64decode(word).decode().partition(":")[0] or None
    except ValueError:
        return None


def _head_bytes(environ: dict[str, Any]) -> int:
    heads = sum(len(key) - 5 + len(str(value)) + 4 for key, value in environ.items() if key.startswith("HTTP_"))
    return heads + len(environ["REQUEST_METHOD"]) + len(environ.get("REQUEST_URI") or "") + 12


def make_server(host: str, port: int, archive: Callable[..., Iterable[bytes]]) -> wsgi.Server:
    """A cheroot server bound to `host` alone; port 0 takes a free one."""
    return wsgi.Server((host, port), archive, numthreads=16, server_name="archive", timeout=60)


def main(words: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="python -m jupyter_alc.example.archive", description="The example archive.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--root", type=Path, required=True, help="where the results lie")
    parser.add_argument("--accounts", type=Path, required=True, help='JSON {"user": "password"}, kept 0600')
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--examples", type=Path, help="another folder to show, read-only, than sasdata's")
    given = parser.parse_args(words)
    os.umask(0o077)
    given.root.mkdir(parents=True, exist_ok=True)
    server = make_server(given.host, given.port, Archive(given.root, given.accounts, given.log, given.examples))
    try:
        server.prepare()
    except OSError as error:
        sys.stderr.write(f"{given.host}:{given.port} cannot be bound ({error.strerror}). Choose another --port.\n")
        return 1
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: threading.Thread(target=server.stop).start())
    sys.stdout.write(json.dumps({"ready": True, "host": given.host, "port": server.bind_addr[1]}) + "\n")
    sys.stdout.flush()
    server.serve()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
