"""Sizes as people write and read them, the same in form, magics and files (the panel's own is held equal by a test)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from jupyter_alc.core.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Mapping

_SHOWN: Final = ("B", "kB", "MB", "GB", "TB", "PB")
_READ: Final[Mapping[str, int]] = {
    "": 1,
    "B": 1,
    "kB": 1000,
    **{f"{letter}B": 1000 ** (i + 1) for i, letter in enumerate("KMGT")},
    **{f"{letter}iB": 1024 ** (i + 1) for i, letter in enumerate("KMGT")},
}
_SIZE: Final = re.compile(r"(\d{1,15})(?:\.(\d{1,6}))?\s*([A-Za-z]*)")


def size(count: Any) -> str:
    """Bytes in powers of 1000: `999 B`, `1.5 kB`, `37 MB`; a dash where nobody knows."""
    if not isinstance(count, int | float) or isinstance(count, bool):
        return "–"
    amount, unit = float(count), 0
    while amount >= 999.5 and unit < len(_SHOWN) - 1:
        amount, unit = amount / 1000, unit + 1
    digits = 1 if unit and amount < 9.95 else 0
    return f"{amount:.{digits}f}".removesuffix(".0") + f" {_SHOWN[unit]}"


def parse_size(told: object, field: str) -> int:
    """Return the bytes of `2 GB`, `512 MiB`, `1.5 GB` or a plain number; else raise `BadInput` for `field`."""
    cure = 'Write a number of bytes, or a size such as "2 GB" or "512 MiB".'
    if isinstance(told, int) and not isinstance(told, bool):
        return told
    match = _SIZE.fullmatch(told.strip()) if isinstance(told, str) else None
    unit = _READ.get(match[3]) if match else None
    if match is None or unit is None:
        raise BadInput(f"{str(told)[:40]!r} is not a size.", next_step=cure, field=field)
    fraction = match[2] or "0"
    return int(match[1]) * unit + int(fraction) * unit // int("1" + "0" * len(fraction))
