r"""Names that come from people, checked whole: a trailing newline is not part of a name, whatever `$` thinks."""

from __future__ import annotations

import hashlib
import re
from typing import Final

from jupyter_alc.core.errors import BadInput

_ID: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_NOT_SLUG: Final = re.compile(r"[^a-z0-9]+")


def identifier(text: object, field: str) -> str:
    """Return `text` if it is 1 to 63 of a-z, 0-9 and inner hyphens; else raise `BadInput` for `field`."""
    if not isinstance(text, str) or not _ID.fullmatch(text):
        shown = repr(text)[:80]
        raise BadInput(
            f"{shown} is not a {field}.",
            next_step=f"Use 1 to 63 lower-case letters, digits and hyphens for the {field}, without one at either end.",
            field=field,
        )
    return text


def slug(name: str, limit: int = 32) -> str:
    """Return a safe, collision-free short form of any person's name: readable part and, unless it is `name`, a hash."""
    short = _NOT_SLUG.sub("-", name.lower()).strip("-")[:limit].strip("-")
    if short == name and short:
        return short
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{short[: limit - 9].strip('-') or 'x'}-{digest}"
