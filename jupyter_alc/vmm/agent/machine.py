"""What the agent knows about the machine it runs on: facts from the user data, and where things lie."""

from __future__ import annotations

import ctypes
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from jupyter_alc.core.errors import BadFile, Unavailable

_ISOLATED_RUN: Final = Path("/run/alc")
_MS_REMOUNT, _NOSUID, _NODEV, _NOEXEC = 32, 2, 4, 8


@dataclass(slots=True)
class Machine:
    """One machine: `isolated` has a world of its own under the usual paths, else all lies below one folder."""

    key: str
    vmm_url: str
    enrolment_token: str = field(repr=False)
    address: str
    isolated: bool
    run: Path
    facts: dict[str, Any]

    @property
    def dms_socket(self) -> Path:
        """Where the DMS daemon answers."""
        return self.run / "dms/dms.sock"

    def runtime_of(self, account: str) -> Path:
        """Return the XDG_RUNTIME_DIR of the person."""
        return self.run / "user" / account

    @classmethod
    def read(cls, folder: Path | None) -> Machine:
        """Read the user data and remove it, so that nothing on the machine can read the token again."""
        run = folder or _ISOLATED_RUN
        path = run / "agent/user-data.json"
        try:
            told: dict[str, Any] = json.loads(path.read_text())
            path.unlink()
            facts = dict(told["machine"])
            return cls(
                key=str(told["machine_key"]),
                vmm_url=str(told["vmm_url"]).rstrip("/"),
                enrolment_token=str(told["enrolment_token"]),
                address=str(facts["address"]),
                isolated=folder is None,
                run=run,
                facts=facts,
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BadFile(f"The user data at {path} cannot be used.", next_step="End this machine.") from error

    def lay_out(self) -> None:
        """Make the folders of this machine and hide other people's processes from everybody but root."""
        for name, mode in (("agent", 0o700), ("dms", 0o755), ("user", 0o755)):
            (self.run / name).mkdir(mode=mode, parents=True, exist_ok=True)
            (self.run / name).chmod(mode)
        if self.isolated:
            _hide_processes()

    def show_processes_to(self, group: int) -> None:
        """Let this group see whose process is whose: the data service tells by that which notebook reads.

        It is one group only, so we join it, to go on seeing them ourselves.
        """
        if self.isolated:
            os.setgroups(sorted({*os.getgroups(), group}))
            _hide_processes(f",gid={group}")


def _hide_processes(but: str = "") -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    flags = _MS_REMOUNT | _NOSUID | _NODEV | _NOEXEC
    if libc.mount(b"proc", b"/proc", b"proc", flags, f"hidepid=2{but}".encode()) != 0:
        reason = os.strerror(ctypes.get_errno())
        raise Unavailable(f"Processes cannot be hidden: {reason}.", next_step="End this machine.")
