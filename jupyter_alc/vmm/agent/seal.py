"""Keeps a person's programs from making user namespaces, and from the keys of whoever started the machine.

In a user namespace any program has every capability of root over a world of its own, and with that a large part of the
kernel to try its faults on. Nothing a person does here needs one. The door is a seccomp filter: inherited, never taken
off. A session's keyring, which the kernel hands on from process to process whatever their owner, is left for a new one.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
from typing import Final

from jupyter_alc.core.errors import Unavailable

_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 38, 22, 2
_CLONE_NEWUSER: Final = 0x1000_0000
_FOREIGN: Final = 0x4000_0000  # from here on numbers are those of another way to call the kernel (x32)
# kernel's name of the architecture, numbers of clone and unshare; clone3 has the same everywhere
_ARCHITECTURES: Final = {"x86_64": (0xC000_003E, 56, 272), "aarch64": (0xC000_00B7, 220, 97)}
_KEYCTL: Final = {"x86_64": 250, "aarch64": 219}
_JOIN_SESSION_KEYRING: Final = 1
_CLONE3: Final = 435
_LOAD, _EQUAL, _AT_LEAST, _HAS_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER_AT, _ARCHITECTURE_AT, _FLAGS_AT = 0, 4, 16
_ALLOW, _REFUSE = 0x7FFF_0000, 0x0005_0000


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("steps", ctypes.c_char_p))


def program(machine: str) -> bytes | None:
    """Return the filter for this kind of processor; None when we do not know it.

    What looks into memory for its flags (clone3) and calls of other architectures are said not to exist: the C library
    then takes the older call, whose flags a filter can see.
    """
    if machine not in _ARCHITECTURES:
        return None
    architecture, clone, unshare = _ARCHITECTURES[machine]
    steps = (
        (_LOAD, 0, 0, _ARCHITECTURE_AT),
        (_EQUAL, 0, 9, architecture),
        (_LOAD, 0, 0, _NUMBER_AT),
        (_AT_LEAST, 7, 0, _FOREIGN),
        (_EQUAL, 6, 0, _CLONE3),
        (_EQUAL, 1, 0, clone),
        (_EQUAL, 0, 2, unshare),
        (_LOAD, 0, 0, _FLAGS_AT),
        (_HAS_BIT, 1, 0, _CLONE_NEWUSER),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _REFUSE | errno.EPERM),
        (_RETURN, 0, 0, _REFUSE | errno.ENOSYS),
    )
    return b"".join(struct.pack("=HBBI", *step) for step in steps)


def forbid_user_namespaces() -> bool:
    """Refuse them to this process and all it starts, for good; False on a processor we have no filter for.

    Sets `no_new_privs` as well, which the filter needs. Raises `Unavailable` when the kernel does not take it.
    """
    steps = program(platform.machine())
    if steps is None:
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    told = _Program(len(steps) // 8, steps)
    if libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(told), 0, 0) != 0:
        reason = os.strerror(ctypes.get_errno())
        raise Unavailable(f"The kernel takes no filter: {reason}.", next_step="Use a kernel with seccomp filters.")
    return True


def leave_session_keyring() -> None:
    """Take a new, empty session keyring: the keys of the operator's session, or of other machines, are not inherited.

    Where the kernel has no keys, or we do not know its number for the call, there is nothing to leave.
    """
    number = _KEYCTL.get(platform.machine())
    if number is not None:
        ctypes.CDLL(None).syscall(number, _JOIN_SESSION_KEYRING, None)
