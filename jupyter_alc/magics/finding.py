"""Where the Jupyter server of this kernel or terminal answers, and with which token.

Looked for in this order; the first that is there is taken:

    ALC_SERVER_URL, ALC_SERVER_TOKEN                  said by hand
    JUPYTERHUB_SERVICE_URL, JUPYTERHUB_API_TOKEN      under the Hub
    <runtime folder>/jpserver-<pid>.json              a plain server that is a parent of this process

Nothing is ever taken from a notebook.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from jupyter_alc.core.errors import Missing

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

NO_SERVER = "No Jupyter server with jupyter-alc was found for this process."
NO_SERVER_NEXT = "Run this in a notebook or terminal of your own server, or set ALC_SERVER_URL and ALC_SERVER_TOKEN."


@dataclass(frozen=True, slots=True)
class FoundServer:
    """A Jupyter server: the addresses to try, best first, without a slash at the end. The token is a secret."""

    urls: tuple[str, ...]
    token: str = field(repr=False)

    @property
    def base_path(self) -> str:
        """The path below which the browser sees the server, without a slash at its end."""
        return urlsplit(self.urls[0]).path


def find_server(environment: Mapping[str, str] | None = None, proc: Path = Path("/proc")) -> FoundServer:
    """Find the server of this process; raises `Missing` with what to do when there is none."""
    given = os.environ if environment is None else environment
    found = _said(given, "ALC_SERVER_URL", "ALC_SERVER_TOKEN")
    found = found or _said(given, "JUPYTERHUB_SERVICE_URL", "JUPYTERHUB_API_TOKEN")
    found = found or _from_runtime_file(given, proc)
    if found is None:
        raise Missing(NO_SERVER, next_step=NO_SERVER_NEXT)
    return found


def addresses(url: str) -> tuple[str, ...]:
    """The address as given, then the same port on loopback; an address that means "all" is only tried there."""
    told = urlsplit(url.rstrip("/"))
    local = urlunsplit((told.scheme, f"127.0.0.1:{told.port or 80}", told.path, "", ""))
    if told.hostname in {None, "", "0.0.0.0", "::", "*"}:  # noqa: S104  (compared, not bound)
        return (local,)
    given = urlunsplit((told.scheme, told.netloc, told.path, "", ""))
    return (given,) if told.hostname == "127.0.0.1" else (given, local)


def _said(given: Mapping[str, str], url: str, token: str) -> FoundServer | None:
    if not given.get(url) or not given.get(token):
        return None
    return FoundServer(addresses(given[url]), given[token])


def _from_runtime_file(given: Mapping[str, str], proc: Path) -> FoundServer | None:
    folder = _runtime_folder(given)
    for pid in [given.get("JPY_PARENT_PID", ""), *_parents(proc)]:
        told = _read(folder / f"jpserver-{pid}.json") if pid.isdigit() else None
        if told and told.get("url") and told.get("token"):
            return FoundServer(addresses(str(told["url"])), str(told["token"]))
    return None


def _runtime_folder(given: Mapping[str, str]) -> Path:
    if given.get("JUPYTER_RUNTIME_DIR"):
        return Path(given["JUPYTER_RUNTIME_DIR"])
    home = Path(given.get("HOME") or "~").expanduser()
    data = given.get("JUPYTER_DATA_DIR") or Path(given.get("XDG_DATA_HOME") or home / ".local/share") / "jupyter"
    return Path(data) / "runtime"


def _parents(proc: Path) -> Iterator[str]:
    """The ids of this process's parents, nearest first: a terminal is a child of its server too."""
    pid = str(os.getppid())
    for _ in range(32):
        if pid in {"0", "1"}:
            return
        yield pid
        try:
            pid = (proc / pid / "stat").read_text().rpartition(")")[2].split()[1]
        except (OSError, IndexError):
            return


def _read(path: Path) -> dict[str, Any] | None:
    try:
        told = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return told if isinstance(told, dict) else None
