"""nginx with WebDAV for tests and measures.

PYTHONPATH=tests build/env/host/bin/python -m labs.nginx up DIR       prints the addresses; they stay in DIR/lab.json
                                                         status DIR   0 when it answers
                                                         down DIR     stops it and removes DIR
"""

import sys

from labs.lab import main
from labs.nginx import Nginx

sys.exit(main(Nginx, __doc__))
