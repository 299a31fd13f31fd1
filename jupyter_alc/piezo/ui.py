"""What the scripts of Spark's UI need before they work below the address of a user called `proxy` or `history`. Pure.

Five scripts look for a part of the page's address equal to one of those words and take the part after it for the
application's id, because that is how Spark's own proxy and history server build addresses. Below a user's server the
words can only be a user's name, so the scripts are made to look for a word no part of an address can be.
"""

from __future__ import annotations

import re
from typing import Final

SCRIPTS: Final = frozenset({"utils.js", "stagepage.js", "environmentpage.js", "log-view.js", "sql-table-utils.js"})

_LOOKS_FOR: Final = re.compile(rb"""indexOf\((["'])(?:proxy|history)\1\)""")
_NEVER: Final = rb'indexOf("/")'  # the address was split at its slashes


def needs_rewriting(path: str) -> bool:
    """Whether the file at `path` of the UI is one of those scripts."""
    return path.partition("?")[0].rpartition("/")[2] in SCRIPTS


def rewritten(script: bytes) -> bytes:
    """The script with its searches for `proxy` and `history` turned into searches that find nothing."""
    return _LOOKS_FOR.sub(_NEVER, script)
