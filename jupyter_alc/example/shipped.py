"""The notebooks that come with the package, and how one gets into a home."""

from __future__ import annotations

import contextlib
import os
from importlib.resources import files
from pathlib import Path

from jupyter_alc.core.errors import Denied, NotFound

_FOLDER = files("jupyter_alc") / "example" / "notebooks"


def shipped() -> list[str]:
    """The names of the examples, without ending."""
    return sorted(Path(entry.name).stem for entry in _FOLDER.iterdir() if entry.name.endswith(".ipynb"))


def copy_notebook(name: str, folder: Path) -> Path:
    """Copy the example `name` into `folder` and return where it lies; a copy that is there already is left as it is.

    Raises `NotFound` for a name that is not shipped and `Denied` where the folder cannot be written.
    """
    if name not in shipped():
        raise NotFound("There is no such example.", next_step=f"Known are: {', '.join(shipped())}.")
    target = folder / f"{name}.ipynb"
    draft = folder / f".{target.name}.{os.getpid()}"
    try:
        draft.write_bytes((_FOLDER / target.name).read_bytes())
        with contextlib.suppress(FileExistsError):
            target.hardlink_to(draft)  # whole or not at all
    except OSError:
        raise Denied(
            "The example could not be copied into your home.", next_step="Make room there, or make it writable."
        ) from None
    finally:
        with contextlib.suppress(OSError):
            draft.unlink()
    return target
