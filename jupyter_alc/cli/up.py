"""`alc up`: the whole system on this computer, until Ctrl-C."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_alc.cli.checks import FUSE, JAVA, Check, all_checks
from jupyter_alc.cli.instance import example
from jupyter_alc.cli.instance.layout import Layout, write_private
from jupyter_alc.cli.instance.probes import running_at
from jupyter_alc.cli.instance.system import System, Wishes
from jupyter_alc.core.errors import AlcError
from jupyter_alc.magics.words import plain

if TYPE_CHECKING:
    import argparse

STOPPED, FAILED = 0, 1
_MOST_FILES = 1 << 16


def add_parser(subparsers: Any) -> None:
    """Add `up`."""
    told = "start the whole system on this computer; Ctrl-C stops it and leaves nothing but its state"
    parser = subparsers.add_parser("up", help=told, description=told)
    add = parser.add_argument
    add("--state", type=Path, metavar="DIR", help="what survives: accounts, homes, unsent results (default: ALC_STATE)")
    add("--port", type=int, default=8000, metavar="N", help="the address's port; the next free one if taken (8000)")
    add("--catalogue", type=Path, metavar="FILE", help="YAML file of your datasets")
    add("--credentials", type=Path, metavar="FILE", help="YAML file of your archives' credentials, mode 0600")
    told = "your archive, where machines may reach no other address: {archive} in the catalogue's urls stands for it"
    add("--archive", default="", metavar="HOST:PORT", help=f"{told}; without the example archive")
    add("--machine-types", type=Path, metavar="FILE", help="YAML file of machine types (default: the shipped ones)")
    add("--environments", type=Path, metavar="DIR", help="the machines' environments (default: beside this one)")
    add("--people", nargs="+", default=["ada", "brahe"], metavar="NAME", help="who gets an account (ada brahe)")
    add("--admins", nargs="+", default=[], metavar="NAME", help="which of them administer the Hub")
    add("--logins", type=Path, metavar="FILE", help="keep new passwords there, mode 0600, instead of printing them")
    add("--new-logins", action="store_true", help="give everybody a new password")
    told = "how long a stop waits for unsent results, once for each try (default: ALC_SEND_SECONDS, else 60)"
    add("--send-seconds", type=float, metavar="N", default=os.environ.get("ALC_SEND_SECONDS") or 60.0, help=told)
    add("--example", action="store_true", default=None, help="with the example archive (default: if it is installed)")
    add("--no-example", action="store_false", dest="example", help="without the example archive")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Start, stay, stop. 0 after Ctrl-C or SIGTERM, 1 with the reason when it could not start."""
    os.umask(0o077)
    _room_for_connections()
    layout = Layout.found(state=options.state, environments=options.environments)
    if not _fit(layout):
        return FAILED
    stop, hurry = threading.Event(), threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: (hurry if stop.is_set() else stop).set())
    wishes = Wishes(
        port=options.port,
        people=options.people + [one for one in options.admins if one not in options.people],
        admins=options.admins,
        catalogue=options.catalogue,
        credentials=options.credentials,
        machine_types=options.machine_types,
        example=example.available() if options.example is None else options.example,
        archive=options.archive,
        new_logins=options.new_logins,
        send_seconds=options.send_seconds,
    )
    system = System(layout, wishes, _tell, stop)
    code = STOPPED
    try:
        system.start()
        if not stop.is_set():
            _welcome(system, options.logins)
            system.logins_told()
        system.watch()
        _tell("Stopping. Press Ctrl-C again to not wait for unsent results.")
    except AlcError as error:
        _tell(error.line)
        code = FAILED
    except OSError as error:
        _tell(f"{error.filename or layout.state}: {error.strerror}. Mend that, or choose another --state.")
        code = FAILED
    finally:
        if system.begun:
            stop.set()
            system.stop(hurry)
    return code


def _room_for_connections() -> None:
    """Let the Hub and VMM hold a connection for everybody: many computers begin with 1024 open files a program."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_FILES)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most), hard))


def _tell(line: str) -> None:
    with contextlib.suppress(OSError):  # a log on a full disk: no reason to end
        sys.stdout.write(f"{plain(line)}\n")
        sys.stdout.flush()


def _fit(layout: Layout) -> bool:
    """Say what is missing; only what nothing can start without stops it."""
    if running_at(layout.state):
        return True  # a second start is told about the first, whatever else is true
    missing = [check for check in all_checks(layout) if check.needed and not check.ok]
    for check in missing:
        _tell(check.line)
    return not any(map(_fatal, missing))


def _fatal(check: Check) -> bool:
    return check.name not in {FUSE, JAVA}


def _welcome(system: System, kept: Path | None) -> None:
    lines = [f"jupyter-alc is up: {system.address}"]
    if system.logins and kept is not None:
        known = json.loads(kept.read_text()) if kept.exists() else {}
        write_private(kept, json.dumps({**known, **system.logins}, indent=1))
        lines.append(f"Logins of {', '.join(sorted(system.logins))}: {kept}")
    elif system.logins:
        lines.append("Logins, told this once (they are kept only as hashes):")
        lines += [f"  {name:<10} {password}" for name, password in system.logins.items()]
    else:
        lines.append("Logins are those of the first start. Forgotten: alc up --new-logins")
    lines.append("Log in, tick the datasets you want, choose a machine, press Start.")
    lines.append(f"Logs: {system.layout.logs}. Stop everything with Ctrl-C.")
    for line in lines:
        _tell(line)
