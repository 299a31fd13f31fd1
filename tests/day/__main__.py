"""`make demo`: start the whole system, live a scientist's day in a real browser, and say whether every step was true.

With `--archive ceph` (`make demo ARCHIVE=ceph`) the data lies in Ceph's S3, started for it.

With a terminal the system then stays up until Ctrl-C. Without one everything ends by itself.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from day.archives import OnCeph
from day.browser import browser
from day.report import NotTrue, Report, require
from day.steps import Day
from day.system import CHECKOUT, System, Traces
from jupyter_alc.cli.checks import all_checks
from jupyter_alc.cli.instance.layout import Layout

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DEMO = CHECKOUT / "build/demo"

TO_DO = """
The system stays up for you: {address}
  log in as ada ({ada}) or brahe ({brahe}){alone}
  tick the datasets, choose a machine, press Start
  in Lab: open "SANS: Guinier radii" from the launcher and run it; open the panel on the left
Pictures and report of the run just now: {place}
Ctrl-C stops everything.
"""


ALONE = "\n  machines are not isolated without root, so they serve one person: brahe is refused, with that reason"


def tell(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> int:
    options = argparse.ArgumentParser(prog="python -m day")
    options.add_argument("--archive", choices=["embedded", "ceph"], default="embedded")
    ceph = OnCeph(DEMO / "ceph") if options.parse_args().archive == "ceph" else None
    if ceph is not None and (why := ceph.lab.lacking()):
        tell(f"The day on Ceph {why}. Run: .ci/debian ceph as root, then make demo ARCHIVE=ceph; or make demo alone.")
        return 1
    if ceph is not None:
        ceph.stop()  # what a demo that was killed left
    state = DEMO / "state"
    shutil.rmtree(DEMO, ignore_errors=True)
    pictures = DEMO / "pictures"
    report = Report(DEMO / "report.json", tell)
    traces = Traces(state)
    traces.follow()
    system = System(state, given=ceph)
    try:
        with report.step("this computer has what the day needs"):
            look(state)
        with report.step("the system starts on its embedded defaults") as step:
            system.start()
            step.figures["address"] = system.address
        with browser() as chromium:
            day = Day(system, report, chromium, pictures)
            day.run()
            if sys.stdin.isatty():
                day.ada.leave()  # whoever logs in next meets the form
        if sys.stdin.isatty() and report.ok:
            with alone_at_the_terminal():
                stay(system)
    except KeyboardInterrupt:
        tell("stopping")
    except Exception as error:  # noqa: BLE001  (the report holds the reason; everything must still be ended)
        if report.ok or not report.steps:
            with suppress(NotTrue), report.step("nothing else goes wrong"):
                raise NotTrue(f"{type(error).__name__}: {error}") from None
    finally:
        end(system, report, traces)
    tell(f"{'every step was true' if report.ok else 'NOT every step was true'}: {report.path}")
    return 0 if report.ok else 1


def look(state: Path) -> None:
    """Say everything that is missing, each with its cure, before anything is started."""
    checks = all_checks(Layout.found(state=state))
    missing = [one for one in checks if not one.ok and (one.needed or one.name == "Chromium")]
    require(not missing, "; ".join(f"{one.name}: {one.found} {one.cure}" for one in missing))


@contextmanager
def alone_at_the_terminal() -> Iterator[None]:
    """Take Ctrl-C for ourselves: `make` would else end with an error for what is the usual way to stop."""
    terminal, before = sys.stdin.fileno(), os.getpgrp()
    kept = signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    moved = False
    try:
        with suppress(OSError):
            if os.tcgetpgrp(terminal) == before:
                os.setpgid(0, 0)
                moved = True
                os.tcsetpgrp(terminal, os.getpgrp())
        yield
    finally:
        with suppress(OSError):
            if moved:
                os.tcsetpgrp(terminal, before)
                os.setpgid(0, before)
        signal.signal(signal.SIGTTOU, kept)


def stay(system: System) -> None:
    """Stay up until Ctrl-C."""
    alone = "" if system.isolates else ALONE
    words = {"address": system.address, "place": DEMO, "alone": alone, **system.logins}
    tell(TO_DO.format(**words))
    while system.process is not None and system.process.poll() is None:
        time.sleep(0.5)


def end(system: System, report: Report, traces: Traces) -> None:
    """Stop everything, then look for what is left."""
    try:
        with report.step("everything ends and leaves nothing") as step:
            try:
                system.stop()
            finally:
                still = system.archive.stop()
            left = traces.left(str(system.facts.get("service_address", "")))
            left |= {"archive": still} if still else {}
            step.figures["machines_made"] = len(traces.machines)
            step.figures["leftovers"] = left
            require(not left, f"left behind: {left}")
    except Exception:  # noqa: BLE001  (the report holds the reason)
        return


if __name__ == "__main__":
    sys.exit(main())
