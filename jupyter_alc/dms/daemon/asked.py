"""What a request of the socket asks for, taken out of it; `BadInput` says which part cannot be used."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from jupyter_alc.core.errors import BadInput

if TYPE_CHECKING:
    from aiohttp import web


def path(request: web.Request) -> str:
    """The path it is about."""
    found = request.query.get("path")
    if found is None:
        raise BadInput("The request names no path.", next_step="Give ?path=dataset/file.", field="path")
    return found


def number(request: web.Request, field: str) -> int | None:
    """A number in its address, None where none is given."""
    written = request.query.get(field)
    try:
        return None if written is None else int(written)
    except ValueError as wrong:
        raise BadInput(f"{field} is not a number of bytes.", next_step="Give a whole number.", field=field) from wrong


def limit(request: web.Request, most: int) -> int | None:
    """How many are wanted, from 1 to `most`; None where all are."""
    found = number(request, "limit")
    if found is not None and not 1 <= found <= most:
        raise BadInput(
            f"limit is not a number from 1 to {most}.", next_step="Give one, or leave it out.", field="limit"
        )
    return found


async def told(request: web.Request) -> dict[str, Any]:
    """The JSON object in its body, empty where it has none."""
    try:
        found = json.loads(await request.read() or b"{}")
    except ValueError as wrong:
        raise BadInput("The body is not JSON.", next_step="Send one JSON object.") from wrong
    if not isinstance(found, dict):
        raise BadInput("The body is not a JSON object.", next_step="Send one JSON object.")
    return found


def text(told: dict[str, Any], field: str) -> str:
    """A text of that object."""
    found = told.get(field)
    if not isinstance(found, str):
        raise BadInput(f"The request names no {field}.", next_step=f"Give {field} as dataset/file.", field=field)
    return found


def count(told: dict[str, Any], field: str, most: int) -> int | None:
    """A number from 1 to `most`, None where none is given."""
    found = told.get(field)
    if found is None:
        return None
    if isinstance(found, bool) or not isinstance(found, int) or not 1 <= found <= most:
        raise BadInput(
            f"{field} is no whole number from 1 to {most}.", next_step="Give one, or leave it out.", field=field
        )
    return found
