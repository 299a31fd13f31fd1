"""Where things lie, from the environment: the few settings that every part must agree on.

ALC_STATE        what must survive (databases, homes, staged results); 0700
ALC_CACHE        what can be made again (packages, wheels)
ALC_RUN          sockets and pid files; short, because a socket's path has at most 107 characters
ALC_DMS_SOCKET   the DMS daemon's socket, as a kernel, a magic or an executor finds it
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

DMS_SOCKET_VARIABLE = "ALC_DMS_SOCKET"
DEFAULT_DMS_SOCKET = Path("/run/alc/dms/dms.sock")


@dataclass(frozen=True, slots=True)
class Places:
    """The folders one instance owns."""

    state: Path
    cache: Path
    run: Path

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Places:
        """Read ALC_STATE, ALC_CACHE and ALC_RUN; each has a default below the user's own folders."""
        given = os.environ if environment is None else environment
        home = Path(given.get("HOME") or "~").expanduser()
        state = Path(
            given.get("ALC_STATE") or Path(given.get("XDG_STATE_HOME") or home / ".local/state") / "jupyter-alc"
        )
        cache = Path(given.get("ALC_CACHE") or Path(given.get("XDG_CACHE_HOME") or home / ".cache") / "jupyter-alc")
        runtime = given.get("XDG_RUNTIME_DIR") or f"/tmp/alc-{os.getuid()}"  # noqa: S108  (made 0700 by its owner)
        return cls(state=state, cache=cache, run=Path(given.get("ALC_RUN") or Path(runtime) / "jupyter-alc"))


def dms_socket(environment: Mapping[str, str] | None = None) -> Path:
    """Where the DMS daemon of this machine answers."""
    given = os.environ if environment is None else environment
    return Path(given.get(DMS_SOCKET_VARIABLE) or DEFAULT_DMS_SOCKET)
