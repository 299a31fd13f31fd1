"""What a view's links are in a mount: symbolic, relative, to the one real path (N18). Pure."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jupyter_alc.dms.entry import Entry


def as_link(folder: str, entry: Entry) -> Entry:
    """An entry of the folder at `folder` as the kernel is told it: with a `target`, that and nothing of what it is."""
    if not entry.target:
        return entry
    up, inner = "../" * folder.count("/"), entry.target.partition("/")[2]
    return replace(entry, kind="link", target=up + inner, size=len(os.fsencode(up + inner)), token="")
