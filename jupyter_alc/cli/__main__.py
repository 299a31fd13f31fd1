"""`python -m jupyter_alc.cli`: the same as `alc`."""

import sys

from jupyter_alc.cli import main

sys.exit(main())
