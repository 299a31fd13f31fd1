"""moto's S3 for tests.

PYTHONPATH=tests build/env/host/bin/python -m labs.moto up DIR | status DIR | down DIR
"""

import sys

from labs.lab import main
from labs.moto import Moto

sys.exit(main(Moto, __doc__))
