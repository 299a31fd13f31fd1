"""WsgiDAV for tests and measures.

PYTHONPATH=tests build/env/host/bin/python -m labs.wsgidav up DIR | status DIR | down DIR
"""

import sys

from labs.lab import main
from labs.wsgidav import Wsgidav

sys.exit(main(Wsgidav, __doc__))
