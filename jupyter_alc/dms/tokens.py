"""Version tokens: opaque to everybody but those who make them and those who compare them."""

from __future__ import annotations

UNSETTLED = "~"


def unsettled(token: str, seen: float) -> str:
    """Mark `token`, seen at `seen`, as one that may stay the same though the bytes change."""
    return f"{token}{UNSETTLED}{seen:.3f}"


def is_unsettled(token: str) -> bool:
    """Say whether `token` was marked."""
    return UNSETTLED in token.rpartition('"')[2]


def bare(token: str) -> str:
    """`token` without the mark, as the archive knows it."""
    head, quote, tail = token.rpartition('"')
    return f"{head}{quote}" if UNSETTLED in tail else token


def same_version(one: str, other: str) -> bool:
    """Say whether the archive calls both by the same token."""
    return bare(one) == bare(other)
