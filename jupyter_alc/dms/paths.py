"""Paths as people and programs give them."""

from __future__ import annotations

from jupyter_alc.core.errors import BadInput


def clean_path(path: str) -> str:
    """Return `path` as the engine wants it, without slashes at its ends; `BadInput` for steps that lead elsewhere."""
    plain = path.strip("/")
    if (plain and any(part in {"", ".", ".."} for part in plain.split("/"))) or "\0" in plain:
        raise BadInput(
            f"{path[:120]!r} is not a path of a dataset.",
            next_step="Write dataset/folder/file, without . and ..",
            field="path",
        )
    return plain
