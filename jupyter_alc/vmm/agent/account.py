"""The person's account on the machine: its line in passwd and group, her runtime folder, the place of her mount."""

from __future__ import annotations

import contextlib
import ctypes
import os
import stat
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Final

from jupyter_alc.core.errors import Conflict, Unavailable
from jupyter_alc.core.full_disk import disk_is_full, is_full_disk

if TYPE_CHECKING:
    from jupyter_alc.vmm.agent.machine import Machine
    from jupyter_alc.vmm.agent.orders import Claim

DAEMON_ACCOUNT: Final = "alc-dms"
_MOST_MOUNTS: Final = 8


def make_account(machine: Machine, claim: Claim, etc: Path = Path("/etc")) -> None:
    """Make everything the person's processes need; again is fine. Raises AlcError when her home is not usable."""
    who = claim.person
    if not claim.home.is_dir():
        raise Unavailable("Your home is not attached to the machine.", next_step="Start your server again.")
    try:
        if machine.isolated:
            shells = {who.name: "/bin/bash", DAEMON_ACCOUNT: "/usr/sbin/nologin"}
            homes = {who.name: claim.home, DAEMON_ACCOUNT: claim.dms_volume}
            ids = {who.name: (who.uid, who.gid), DAEMON_ACCOUNT: (who.dms_uid, who.dms_gid)}
            for name, (uid, gid) in ids.items():
                _set_line(etc / "passwd", name, f"{name}:x:{uid}:{gid}::{homes[name]}:{shells[name]}")
                _set_line(etc / "group", name, f"{name}:x:{gid}:")
        _own(machine.run / "dms", who.dms_uid, who.dms_gid, 0o755)
        _own(machine.runtime_of(who.name), who.uid, who.gid, 0o700)
        make_mount_point(claim)
    except OSError as error:
        if is_full_disk(error):
            raise disk_is_full("your home") from error
        raise Unavailable(
            f"Your account could not be made: {error.strerror}.", next_step="Start your server again."
        ) from error


def make_mount_point(claim: Claim) -> None:
    """Make `data` in her home, hers; `Conflict` when she has something else there."""
    point = claim.mount
    try:
        seen = point.lstat()
    except FileNotFoundError:
        point.mkdir(mode=0o700)
        _chown(point, claim.person.uid, claim.person.gid)
        return
    except OSError:  # a dead mount: it is there, and unmounted before the next is made
        unmount(point)
        seen = point.lstat()
    if not stat.S_ISDIR(seen.st_mode):
        raise Conflict("In your home `data` is not a folder.", next_step="Rename it; your datasets appear there.")


def set_mount_point(point: Path, *, writable: bool) -> None:
    """Let nobody write into `data` while nothing is mounted there: it would reach no archive, and be hidden later."""
    with contextlib.suppress(OSError):  # not a folder any more: what mounts there says so
        folder = os.open(point, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            os.fchmod(folder, 0o700 if writable else 0o500)
        finally:
            os.close(folder)


def unmount(point: Path) -> None:
    """Take whatever is mounted at `point` away, also when its server is dead or somebody still looks into it."""
    libc = ctypes.CDLL(None, use_errno=True)
    force, detach, no_follow = 1, 2, 8
    for _ in range(_MOST_MOUNTS):
        if not is_mount(point):
            return
        if os.geteuid() == 0:
            libc.umount2(os.fsencode(point), force | detach | no_follow)
        else:
            subprocess.run(["fusermount3", "-u", "-z", str(point)], capture_output=True, timeout=10, check=False)


def is_mount(point: Path) -> bool:
    """Say whether something is mounted exactly at `point`; asks the kernel, never the mount."""
    wanted = str(point).replace(" ", "\\040")
    return any(line.split(" ")[4] == wanted for line in Path("/proc/self/mountinfo").read_text().splitlines())


def _own(folder: Path, uid: int, gid: int, mode: int) -> None:
    folder.mkdir(mode=mode, parents=True, exist_ok=True)
    folder.chmod(mode)
    _chown(folder, uid, gid)


def _chown(path: Path, uid: int, gid: int) -> None:
    if os.geteuid() == 0:
        os.chown(path, uid, gid, follow_symlinks=False)


def _set_line(path: Path, name: str, line: str) -> None:
    kept = [one for one in path.read_text().splitlines() if one.partition(":")[0] != name]
    path.write_text("\n".join([*kept, line]) + "\n")
