"""Secrets: how they are made, stored (as hashes) and compared."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import secrets
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def new_secret() -> str:
    """Return 256 random bits as text."""
    return secrets.token_urlsafe(32)


def digest(secret: str) -> str:
    """Return what is stored of a secret; it is random and long, so one round of SHA-256 is enough."""
    return hashlib.sha256(secret.encode()).hexdigest()


def same(secret: str, stored: str | None) -> bool:
    """Say whether `secret` is the one whose digest was stored, in constant time."""
    return stored is not None and hmac.compare_digest(digest(secret), stored)


def hub_secret(path: Path) -> str:
    """Return the Hub's secret from its 0600 file; make it when it is not there."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not path.exists():
        _write_once(path, new_secret())
    return path.read_text(encoding="ascii").strip()


def _write_once(path: Path, text: str) -> None:
    """Write the file whole or not at all, and never over one that is there."""
    made = path.with_name(f".{path.name}.{os.getpid()}")
    made.unlink(missing_ok=True)  # of one that was killed; in a sandbox the same numbers come again
    descriptor = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())  # an empty secret after a power cut would lock the Hub out
        with contextlib.suppress(FileExistsError):
            os.link(made, path)
    finally:
        made.unlink()
