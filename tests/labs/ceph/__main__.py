"""Ceph's S3 for tests and measures.

PYTHONPATH=tests build/env/host/bin/python -m labs.ceph up DIR       prints endpoint and keys; they stay in DIR/lab.json
                                                        status DIR   0 when it answers
                                                        down DIR     stops it and removes DIR
"""

import sys

from labs.ceph import Ceph
from labs.lab import main

sys.exit(main(Ceph, __doc__))
