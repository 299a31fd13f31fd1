"""The kernel's table of mounts, read from /proc."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_OCTAL = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True, slots=True)
class MountRow:
    """One mount: where, of which kind and source, its device as `major:minor`, the file system's options."""

    where: str
    kind: str
    source: str
    device: str
    options: str


def mounts() -> list[MountRow]:
    """Every mount that this process sees, oldest first."""
    return [_row(line) for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()]


def mount_at(where: Path) -> MountRow | None:
    """The topmost mount exactly at `where`; None when there is none."""
    return next((row for row in reversed(mounts()) if row.where == str(where)), None)


def _row(line: str) -> MountRow:
    left, _, right = line.partition(" - ")
    fields, kind = left.split(), right.split()
    return MountRow(_plain(fields[4]), kind[0], _plain(kind[1]), fields[2], kind[2])


def _plain(text: str) -> str:
    """Undo the octal escapes that the kernel writes for blanks in names."""
    return _OCTAL.sub(lambda found: chr(int(found[1], 8)), text)
