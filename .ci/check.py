"""Format, lint, types, import rules, front-end lint: all of them, then one answer."""

import os
import pathlib
import subprocess
import sys
import time

TOP = pathlib.Path(__file__).resolve().parent.parent
HOST = TOP / "build/env/host/bin"
PYTHON = str(HOST / "python")

CHECKS = {
    "format": [PYTHON, "-m", "ruff", "format", "--check", "-q", "."],
    "lint": [PYTHON, "-m", "ruff", "check", "-q", "."],
    "types": [PYTHON, "-m", "mypy"],
    "imports": [
        PYTHON,
        "-c",
        "import sys; from importlinter.cli import lint_imports_command as c; sys.exit(c(['--no-cache']))",
    ],
    "front end": [str(HOST / "npm"), "--prefix", "labextension", "run", "--silent", "lint"],
}


def main() -> int:
    environment = os.environ | {
        "PATH": f"{HOST}:{os.environ['PATH']}",
        "PYTHONPATH": f"{TOP}:{TOP / 'spawners'}",
        "npm_config_cache": str(TOP / "build/npm"),
        "npm_config_update_notifier": "false",
    }
    running = {
        name: (
            time.monotonic(),
            subprocess.Popen(
                command,
                cwd=TOP,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            ),
        )
        for name, command in CHECKS.items()
    }
    failed = []
    for name, (started, process) in running.items():
        said, _ = process.communicate()
        print(
            f"  {name}: {'ok' if process.returncode == 0 else 'FAILED'} ({time.monotonic() - started:.1f} s)",
            flush=True,
        )
        if process.returncode:
            failed.append(name)
            print(said, flush=True)
    if failed:
        print(f"make check: {', '.join(failed)} failed", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
