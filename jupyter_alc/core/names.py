r"""Names that come from people, checked whole: a trailing newline is not part of a name, whatever `$` thinks."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from typing import Final

from jupyter_alc.core.errors import BadInput

_ID: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_BREAK: Final = re.compile(r"[ \t\r\n]+")
_NOT_SLUG: Final = re.compile(r"[^a-z0-9]+")
_DIGITS: Final = 16
LONGEST_LINE: Final = 300
LONGEST_DESCRIPTION: Final = 2000
_TURNING: Final = frozenset({"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"})
_HASHED: Final = re.compile(rf".*-[0-9a-f]{{{_DIGITS}}}", re.DOTALL)


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


def can_be_shown(character: str) -> bool:
    """Say whether `character` stands for itself: it moves no cursor, ends no line and turns no text around."""
    kind = unicodedata.category(character)
    return kind not in {"Cc", "Cs", "Zl", "Zp"} and unicodedata.bidirectional(character) not in _TURNING


def one_line(text: str, field: str, most: int = LONGEST_LINE) -> str:
    """Return `text` if people can be shown it as one line wherever it goes; else raise `BadInput` for `field`."""
    if len(text) > most:
        raise BadInput(f"{field} is longer than {most} characters.", next_step=f"Shorten the {field}.", field=field)
    odd = next((one for one in text if not can_be_shown(one)), None)
    if odd is not None:
        raise BadInput(
            f"{field} holds a character that cannot be shown (U+{ord(odd):04X}).",
            next_step=f"Write the {field} as one line of plain text.",
            field=field,
        )
    return text


def joined(text: str) -> str:
    """Return a text that was written over several lines as one."""
    return _BREAK.sub(" ", text).strip(" ")


def hashed(readable: str, name: str, limit: int = 32) -> str:
    """Return `readable`, cut to fit, with a hash of `name`: 64 bits, so that nobody finds a second name for it."""
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGITS]
    return f"{readable[: limit - _DIGITS - 1].strip('-') or 'x'}-{digest}"


def looks_hashed(name: str) -> bool:
    """Say whether `name` could be what `hashed` made of another name."""
    return _HASHED.fullmatch(name) is not None


def slug(name: str, limit: int = 32) -> str:
    """Return a safe short form of any person's name, no two alike: the name itself, or a readable part and a hash.

    A name that looks like such a form gets a hash of its own, so nobody can be called like another person's.
    """
    short = _NOT_SLUG.sub("-", name.lower()).strip("-")[:limit].strip("-")
    return short if short == name and short and not looks_hashed(name) else hashed(short, name, limit)
