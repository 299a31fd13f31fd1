"""`python -m jupyter_alc.dms.daemon`: a JSON order on standard input, a JSON line on standard output, then service."""

from __future__ import annotations

import json
import logging
import os
import sys

from jupyter_alc.core.errors import AlcError
from jupyter_alc.dms.daemon.life import BAD_ORDER, Daemon
from jupyter_alc.dms.daemon.order import Order


def main() -> int:
    """Read the order and carry it out; the exit code is of `jupyter_alc.dms.daemon.life`."""
    os.umask(0o077)
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="dms %(levelname)s %(message)s")
    logging.raiseExceptions = False
    try:
        order = Order.read(sys.stdin)
    except AlcError as error:
        sys.stdout.write(json.dumps({"ready": False, "mounted": False, "problem": error.as_json()}) + "\n")
        return BAD_ORDER
    return Daemon(order, sys.stdout).run()


if __name__ == "__main__":
    sys.exit(main())
