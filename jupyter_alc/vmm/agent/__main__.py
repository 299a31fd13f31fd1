"""`python -m jupyter_alc.vmm.agent [--folder DIR]`; a folder means: no machine of its own, an ordinary process tree."""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
from pathlib import Path

from jupyter_alc.core.errors import AlcError
from jupyter_alc.vmm.agent.life import live
from jupyter_alc.vmm.agent.machine import Machine


def main(words: list[str] | None = None) -> int:
    """Run until the machine ends; 1 when it can be of no use."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    parser = argparse.ArgumentParser(prog="agent", description="The main program of a machine.")
    parser.add_argument("--folder", type=Path, help="without root: the folder of this machine")
    given = parser.parse_args(words)
    try:
        asyncio.run(live(Machine.read(given.folder)))
    except AlcError as error:
        sys.stderr.write(f"agent: {error.line}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
