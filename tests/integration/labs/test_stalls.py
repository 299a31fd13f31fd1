"""A bound on seconds is on ours: what holds us up is told, what holds the computer up is not."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from stalls import Stalls

pytestmark = pytest.mark.integration
SLEEPS = """
import os, signal, sys, time
pids = [int(one) for one in sys.argv[1:]]
sys.stdin.readline()
for number in (signal.SIGSTOP, signal.SIGCONT):
    for pid in pids:
        os.kill(pid, number)
    time.sleep(1)
"""


def computes(seconds):
    begun = time.thread_time()
    while time.thread_time() - begun < seconds:
        pass


@pytest.mark.parametrize("loop", [True, False])
@pytest.mark.parametrize("held_up", [time.sleep, computes])
def test_what_holds_us_up_is_told_whatever_else_the_computer_does(held_up, loop):
    with Stalls(loop=loop) as stalls:
        begun = stalls.mark()
        held_up(0.3)
        assert 0.2 < stalls.since(begun) < 0.4


def test_a_computer_that_stands_still_is_not_told():
    """Here it does when we and all that would notice are stopped."""
    with Stalls() as stalls:
        pids = [os.getpid(), *(one._process.pid for one in stalls._all)]
        stopper = subprocess.Popen([sys.executable, "-c", SLEEPS, *map(str, pids)], stdin=subprocess.PIPE)
        begun = stalls.mark()
        stopper.communicate(b"\n")
        assert time.monotonic() - begun[0] >= 2
        assert stalls.since(begun) < 1.3  # of which it runs a second, and is started
