"""A person's folders on the host, and how one is put into a machine that already runs.

The folder is cloned as a mount of its own (`open_tree`), made nosuid and nodev, and moved (`move_mount`) into the
machine's mount namespace by a child that enters only that namespace. No path of the machine is followed on the host.
"""

from __future__ import annotations

import ctypes
import os
import stat
from typing import TYPE_CHECKING, Final

from jupyter_alc.core.errors import AlcError, Conflict, Unavailable
from jupyter_alc.vmm.people import account_name

if TYPE_CHECKING:
    from pathlib import Path

_LIBC: Final = ctypes.CDLL(None, use_errno=True)
_OPEN_TREE, _MOVE_MOUNT, _MOUNT_SETATTR = 428, 429, 442  # the same on every architecture
_AT_FDCWD, _AT_EMPTY_PATH = -100, 0x1000
_OPEN_TREE_CLONE, _OPEN_TREE_CLOEXEC = 1, os.O_CLOEXEC
_MOVE_MOUNT_F_EMPTY_PATH = 4
_NOSUID, _NODEV = 2, 4
_CLONE_NEWNS: Final = 0x00020000


class _Attributes(ctypes.Structure):
    _fields_ = (
        ("set", ctypes.c_uint64),
        ("clear", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("userns_fd", ctypes.c_uint64),
    )


def _call(number: int, *words: object) -> int:
    answer = int(_LIBC.syscall(number, *words))
    if answer < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return answer


def host_folder(state: Path, person: str, volume: str, uid: int) -> Path:
    """Return the folder of `person` for `volume` on the host, made if need be: 0700 and owned by `uid`.

    Its parents belong to root alone, so nobody can put a link in their place. Raises `Conflict` when something is
    there that is not this uid's folder: a home is never handed to another person.
    """
    parent = state / "volumes" / account_name(person)
    parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder = parent / volume
    if not os.path.lexists(folder):
        _make(folder, uid)
    seen = folder.lstat()
    if not stat.S_ISDIR(seen.st_mode) or seen.st_uid != uid:
        raise Conflict(
            f"The {volume} volume of {person} belongs to somebody else.",
            next_step="Ask the administrator who had this name before.",
        )
    return folder


def _make(folder: Path, uid: int) -> None:
    """Make the folder as its owner's from the first moment: one that a crash left half made would be nobody's."""
    draft = folder.with_name(f".{folder.name}.new")
    draft.mkdir(mode=0o700, exist_ok=True)
    os.chown(draft, uid, uid if os.geteuid() == 0 else -1, follow_symlinks=False)
    draft.rename(folder)


def move_into(folder: Path, init: int, at: str) -> None:
    """Show `folder` at `at` inside the machine whose first process is `init`; nothing changes if it is already there.

    Raises `Unavailable` when the kernel or the machine refuses.
    """
    namespace = os.open(f"/proc/{init}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    root = os.open(f"/proc/{init}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    tree = -1
    try:
        path = os.fsencode(folder)
        tree = _call(_OPEN_TREE, _AT_FDCWD, ctypes.c_char_p(path), _OPEN_TREE_CLONE | _OPEN_TREE_CLOEXEC)
        wanted = _Attributes(set=_NOSUID | _NODEV)
        size = ctypes.c_size_t(ctypes.sizeof(wanted))
        _call(_MOUNT_SETATTR, tree, ctypes.c_char_p(b""), _AT_EMPTY_PATH, ctypes.byref(wanted), size)
        reason = _in_child((namespace, root), tree, at.encode(), folder.stat())
    except OSError as error:
        raise _refused(at, error.strerror or str(error)) from error
    finally:
        os.close(namespace)
        os.close(root)
        if tree >= 0:
            os.close(tree)
    if reason:
        raise _refused(at, reason)


def _refused(at: str, reason: str) -> AlcError:
    return Unavailable(
        f"The volume could not be attached at {at}: {reason}.", next_step="Try again on another machine."
    )


def _in_child(machine: tuple[int, int], tree: int, at: bytes, source: os.stat_result) -> str:
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        reason = b""
        try:
            _enter_and_move(machine, tree, at, source)
        except OSError as error:
            reason = (error.strerror or "refused").encode()
        finally:
            os.write(write, reason)
            os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as told:
        reason_told = told.read().decode()
    os.waitpid(child, 0)
    return reason_told


def _enter_and_move(machine: tuple[int, int], tree: int, at: bytes, source: os.stat_result) -> None:
    namespace, root = machine
    if _LIBC.setns(namespace, _CLONE_NEWNS) < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    os.fchdir(root)  # the machine's own root: another one than the namespace's where the host is itself in a chroot
    os.chroot(".")
    os.makedirs(at, mode=0o755, exist_ok=True)  # noqa: PTH103  (nothing may be imported in here)
    now = os.lstat(at)
    if (now.st_dev, now.st_ino) == (source.st_dev, source.st_ino):
        return
    _call(_MOVE_MOUNT, tree, ctypes.c_char_p(b""), _AT_FDCWD, ctypes.c_char_p(at), _MOVE_MOUNT_F_EMPTY_PATH)
