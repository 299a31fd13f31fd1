"""`alc doctor`: what this computer has and lacks, each with its cure."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_alc.cli.checks import all_checks, ordinary_user
from jupyter_alc.cli.instance.layout import Layout

if TYPE_CHECKING:
    import argparse

NOT_ISOLATED = (
    "note     not root: one person only, and nothing is isolated. As root each machine has a sandbox of its own."
)


def add_parser(subparsers: Any) -> None:
    """Add `doctor`."""
    told = "look whether this computer has what the system needs; exit code 1 when something needed is missing"
    parser = subparsers.add_parser("doctor", help=told, description=told)
    parser.add_argument("--json", action="store_true", help="print JSON for programs")
    parser.add_argument("--state", type=Path, help="where alc up keeps its state (default: ALC_STATE)")
    parser.add_argument("--environments", type=Path, help="the folder of the machines' environments")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print every check; 1 when a needed one failed."""
    checks = all_checks(Layout.found(state=options.state, environments=options.environments))
    ok = all(check.ok or not check.needed for check in checks)
    if options.json:
        told = {"ok": ok, "isolated": not ordinary_user(), "checks": [check.as_json() for check in checks]}
        sys.stdout.write(json.dumps(told, indent=1) + "\n")
    else:
        lines = [check.line for check in checks] + ([NOT_ISOLATED] if ordinary_user() else [])
        sys.stdout.write("\n".join(lines) + "\n")
    return 0 if ok else 1
