"""What is asked for in an address or a body, looked at once for all handlers of data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jupyter_alc.core.errors import BadInput, Missing

if TYPE_CHECKING:
    from jupyter_alc.server.handler import AlcHandler
    from jupyter_alc.server.parts import Data

LONGEST_PATH = 4096
MOST_PATHS = 1000
MOST_NAMES = 10_000  # in one part of a folder


def data_of(handler: AlcHandler) -> Data:
    """The data service to ask; `Missing` where this computer has none."""
    data = handler.alc.parts.data
    if data is None:
        raise Missing(
            "There is no data service on this computer.", next_step="Start a server with datasets from the Hub."
        )
    return data


def path_asked(handler: AlcHandler) -> str:
    """`?path=<dataset>/<folder>`; empty where none is named."""
    return path_told(handler.get_query_argument("path", "", strip=False))


def path_told(told: Any) -> str:
    """A path without slashes at its ends; `BadInput` for what cannot be one."""
    if not isinstance(told, str) or len(told) > LONGEST_PATH or any(ord(letter) < 32 for letter in told):
        raise BadInput(
            "That is not a path.",
            next_step=f"Give <dataset>/<folder>, at most {LONGEST_PATH} characters.",
            field="path",
        )
    return told.strip("/")


def paths_told(options: dict[str, Any]) -> list[str]:
    """The `paths` of a body, at least one."""
    told = options.get("paths")
    if not isinstance(told, list) or not 1 <= len(told) <= MOST_PATHS:
        raise BadInput(
            "The body names no paths.", next_step=f"Give 1 to {MOST_PATHS} of <dataset>/<folder>.", field="paths"
        )
    found = [path_told(one) for one in told]
    if not all(found):
        raise BadInput("One of the paths is empty.", next_step="Name a dataset, or what is in one.", field="paths")
    return found


def count_told(told: Any, field: str, most: int) -> int | None:
    """A whole number from 1 to `most`, or None; `BadInput` names the field."""
    if told is None:
        return None
    if isinstance(told, bool) or not isinstance(told, int) or not 1 <= told <= most:
        raise BadInput(f"{field} is not a number we can use.", next_step=f"Give 1 to {most}.", field=field)
    return told


def count_asked(handler: AlcHandler, field: str, most: int) -> int | None:
    """A whole number of the address; None where there is none."""
    text = handler.get_query_argument(field, "")
    told = int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None if not text else -1
    return count_told(told, field, most)


def after_asked(handler: AlcHandler) -> str:
    """The name behind which a part of a folder begins; empty for its beginning."""
    return str(handler.get_query_argument("after", "", strip=False))
