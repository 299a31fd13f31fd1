"""`python -m jupyter_alc.vmm.kept`: runs VMM for the Hub, and starts it again at once when somebody killed it.

The Hub looks after its services every half minute only; so long nobody could start, stop or be shown a machine. What
ends by itself, by a mistake in its settings or because it was told to, is left to the Hub.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from types import FrameType

_PR_SET_PDEATHSIG: Final = 1
_SERVICE: Final = "jupyter_alc.vmm.service"
_LIVED_SECONDS: Final = 30.0  # one that lived shorter is started again only after a while
_PAUSE_SECONDS, _LONG_PAUSE_SECONDS = 0.2, 5.0


def end_with_parent() -> int:
    """Have the kernel end this process when its parent dies; return the parent's id."""
    parent = os.getppid()
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    return parent


class Keeping:
    """One VMM after the other, until one ends by itself or we are told to stop."""

    def __init__(self, words: list[str]) -> None:
        self._command = [sys.executable, "-P", "-m", _SERVICE, *words]
        self._running: subprocess.Popen[bytes] | None = None
        self._told = threading.Event()

    def stop(self, number: int, _frame: FrameType | None) -> None:
        """Pass a signal on; what ends from now on stays ended."""
        self._told.set()
        if self._running is not None:
            self._running.send_signal(number)

    def run(self) -> int:
        """Return the exit code of the last one."""
        while not self._told.is_set():
            began = time.monotonic()
            self._running = subprocess.Popen(self._command)
            if self._told.is_set():  # told in the moment of its start
                self._running.terminate()
            status = self._running.wait()
            if self._told.is_set() or status >= 0:
                return max(status, 0)
            sys.stderr.write(f"VMM was killed (signal {-status}); it is started again\n")
            lived = time.monotonic() - began
            self._told.wait(_PAUSE_SECONDS if lived > _LIVED_SECONDS else _LONG_PAUSE_SECONDS)
        return 0


def main() -> int:
    """Keep VMM running; the words are VMM's own."""
    parent = end_with_parent()
    keeping = Keeping(sys.argv[1:])
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, keeping.stop)
    return keeping.run() if os.getppid() == parent else 0


if __name__ == "__main__":
    sys.exit(main())
