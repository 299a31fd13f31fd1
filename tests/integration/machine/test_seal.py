"""A person's programs make no user namespace, inherit nobody's keys, and everything else still works."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

from jupyter_alc.vmm.agent.seal import program

pytestmark = pytest.mark.integration

SEALED = """
import ctypes, os, subprocess, sys, threading
from jupyter_alc.vmm.agent.seal import forbid_user_namespaces
assert forbid_user_namespaces()
libc = ctypes.CDLL(None, use_errno=True)
print("unshare", libc.unshare(0x10000000), os.strerror(ctypes.get_errno()))
stack = ctypes.create_string_buffer(1 << 16)
print("clone", libc.syscall(int(sys.argv[1]), 0x10000000 | 17, 0, 0, 0, 0), os.strerror(ctypes.get_errno()))
print("clone3", libc.syscall(435, stack, 88), os.strerror(ctypes.get_errno()))
print("x32", libc.syscall(0x40000000 | 272, 0x10000000), os.strerror(ctypes.get_errno()))
thread = threading.Thread(target=print, args=["thread", 1])
thread.start()
thread.join()
print("child", subprocess.run(["unshare", "-U", "true"], capture_output=True).returncode, flush=True)
subprocess.run(["sh", "-c", "(echo fork 1)"], check=True)
"""


@pytest.mark.skipif(program(platform.machine()) is None, reason="no filter for this processor")
def test_every_way_to_a_user_namespace_is_refused_and_threads_and_children_work() -> None:
    number = {"x86_64": 56, "aarch64": 220}[platform.machine()]
    done = subprocess.run(
        [sys.executable, "-c", SEALED, str(number)], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "unshare -1 Operation not permitted",
        "clone -1 Operation not permitted",
        "clone3 -1 Function not implemented",
        "x32 -1 Function not implemented",
        "thread 1",
        "child 1",
        "fork 1",
    ]


KEYS = """
import ctypes, sys
from jupyter_alc.vmm.agent.seal import leave_session_keyring
keyctl, session, add, search = int(sys.argv[1]), ctypes.c_int(-3), int(sys.argv[2]), 10
libc = ctypes.CDLL(None)
if libc.syscall(keyctl, 1, None) < 0 or libc.syscall(add, b"user", b"ticket", b"secret", 6, session) < 0:
    sys.exit("this kernel keeps no keys")
print(libc.syscall(keyctl, search, session, b"user", b"ticket", 0) > 0)
leave_session_keyring()
print(libc.syscall(keyctl, search, session, b"user", b"ticket", 0) > 0)
"""


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the numbers of another processor's calls")
def test_the_keys_of_the_session_that_started_the_machine_are_left_behind() -> None:
    done = subprocess.run([sys.executable, "-c", KEYS, "250", "248"], capture_output=True, text=True, check=False)
    if "keeps no keys" in done.stderr:
        pytest.skip("this kernel keeps no keys")
    assert done.stdout.split() == ["True", "False"], done.stderr


def test_a_processor_we_do_not_know_is_told_as_such() -> None:
    assert program("mips") is None
