"""The data service for campaigns: as it is, but its loops are watched, and it may give up within moments.

A launcher that takes the place of the command behind it: `watched.py FILE SECONDS` writes to FILE at its end how late
turns of its loops came (R16). With SECONDS other than 0 it has so long a deadline, and asks an archive that was away
again at once.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
import traceback
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from stalls import Witnesses

_EVERY = 0.01
_LATE = 0.05
_ONE_OF = 10_000


def launcher(place: Path, deadline: float = 0.0) -> Sequence[str]:
    """The words in front of the service's command; the file is `turns.json` in `place`."""
    return sys.executable, "-P", __file__, str(place / "turns.json"), str(deadline)


def add_turns(place: Path, known: dict[str, dict[str, Any]]) -> list[str]:
    """Add what a service told at its end to what is `known`; which loops kept somebody waiting for over 50 ms.

    One turn of 10,000 may: a page of our own program that must come from a busy disk is none of the loop's doing.
    """
    file = place / "turns.json"
    if not file.exists():  # it was killed
        return []
    told = json.loads(file.read_text())
    file.unlink()
    for name, one in told.items():
        sums = known.setdefault(name, {})
        for what, value in one.items():
            if what == "where":
                sums[what] = value
            elif what.startswith("longest"):
                sums[what] = max(sums.get(what, 0.0), value)
            else:
                sums[what] = sums.get(what, 0) + value
    return [f"the {name}'s loop: {one}" for name, one in told.items() if one["late"] * _ONE_OF > one["turns"]]


class Watch:
    """Asks a loop for a turn again and again, from a thread of its own.

    How long a turn was waited for is told less the time for which threads of ours were ready to run and the computer
    ran others, and less that in which it ran nobody: on a busy one that is longer than all else, and not ours. What is
    left is.
    """

    def __init__(self, soon: Callable[[Callable[[], None]], object], witnesses: Witnesses) -> None:
        self._soon, self._witnesses = soon, witnesses
        self.turns, self.late, self.longest, self.longest_at_all, self.where = 0, 0, 0.0, 0.0, ""
        threading.Thread(target=self._run, daemon=True).start()

    def told(self) -> dict[str, float | str]:
        """Turns; how many came over 50 ms late; milliseconds of the longest, and with what the computer did else.

        `where` the loop was when the last of these was 50 ms late.
        """
        longest, at_all = round(1000 * self.longest, 1), round(1000 * self.longest_at_all, 1)
        told: dict[str, float | str] = {
            "turns": self.turns,
            "late": self.late,
            "longest_ms": longest,
            "longest_at_all_ms": at_all,
        }
        return {**told, "where": self.where} if self.late else told

    def _run(self) -> None:
        waits, loop = _Waits(), [0]
        while True:
            time.sleep(_EVERY)
            came, when = threading.Event(), [0.0]

            def turn(came: threading.Event = came, when: list[float] = when) -> None:
                when[0], loop[0] = time.monotonic(), threading.get_ident()
                came.set()

            before, asked = waits.now(), time.monotonic()
            try:
                self._soon(turn)
            except RuntimeError:  # the loop has ended
                return
            where = "" if came.wait(_LATE) else _where(loop[0])
            if not came.wait(60):
                return
            at_all = when[0] - asked
            others = sum(one - before.get(thread, one) for thread, one in waits.now().items())
            if at_all - others > _LATE:
                others += self._witnesses.stood_still(asked, when[0])
            self.turns += 1
            self.longest, self.longest_at_all = max(self.longest, at_all - others), max(self.longest_at_all, at_all)
            if at_all - others > _LATE:
                self.late, self.where = self.late + 1, where


def _where(thread: int) -> str:
    """The innermost calls of a thread, as they are now."""
    frame = sys._current_frames().get(thread)
    lines = traceback.extract_stack(frame)[-4:] if frame is not None else []
    return " > ".join(f"{Path(one.filename).name}:{one.lineno} {one.name}" for one in lines)


class _Waits:
    """For each thread of this process, the seconds in which it was ready and did not run."""

    def __init__(self) -> None:
        self._files: dict[str, int] = {}

    def now(self) -> dict[str, float]:
        """As of now; threads that have ended are left out. Cheap: the threads watched are to notice nothing."""
        seconds = {}
        for thread in os.listdir("/proc/self/task"):  # noqa: PTH208  (a name a thread, and nothing else)
            try:
                if thread not in self._files:
                    self._files[thread] = os.open(f"/proc/self/task/{thread}/schedstat", os.O_RDONLY)
                seconds[thread] = int(os.pread(self._files[thread], 100, 0).split()[1]) / 1e9
            except OSError:  # it has ended
                if (file := self._files.pop(thread, None)) is not None:
                    os.close(file)
        return seconds


def _watch(watches: dict[str, Watch]) -> None:
    import trio

    from jupyter_alc.dms.daemon.serving import Serving
    from jupyter_alc.dms.fuse.mount import Mount
    from stalls import Witnesses

    witnesses = Witnesses().__enter__()  # they end with this process
    start, serve = Serving.start, Mount._serve

    def started(self: Serving) -> None:
        start(self)
        watches["engine"] = Watch(self.loop.call_soon_threadsafe, witnesses)

    async def served(self: Mount, *words: Any) -> None:
        watches["mount"] = Watch(trio.lowlevel.current_trio_token().run_sync_soon, witnesses)
        await serve(self, *words)

    Serving.start, Mount._serve = started, served  # type: ignore[method-assign, assignment]


def _hurry(deadline: float) -> None:
    from jupyter_alc.dms.daemon import life
    from jupyter_alc.dms.engine import engine, link

    link.REST_SECONDS = 0.02  # type: ignore[misc]
    engine.Tuning = partial(engine.Tuning, deadline_seconds=deadline)  # type: ignore[misc, assignment]
    sys.modules[life.make_engine.__module__].Tuning = engine.Tuning  # type: ignore[attr-defined]


def main() -> int:
    """Serve, and tell of the loops at the end."""
    from jupyter_alc.dms.daemon import __main__

    tests = Path(__file__).parents[1]
    sys.path += [str(tests), str(tests / "campaign/plugins")]
    watches: dict[str, Watch] = {}
    _watch(watches)
    if deadline := float(sys.argv[2]):
        _hurry(deadline)
    code = __main__.main()
    Path(sys.argv[1]).write_text(json.dumps({name: one.told() for name, one in watches.items()}))
    return code


if __name__ == "__main__":
    sys.exit(main())
