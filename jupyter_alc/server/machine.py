"""The machine this server runs on: what it was given, what it uses now, and giving it back."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from tornado import web

from jupyter_alc.core.errors import AlcError, Missing, Unavailable
from jupyter_alc.server.handler import AlcHandler, authorized

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jupyter_alc.server.parts import Machines

GIVEN = ("key", "type", "title", "cores", "memory_bytes", "isolation", "allocation")
NO_SERVICE = "This server runs on no machine of ours."


class MachineHandler(AlcHandler):
    """`GET machine`, `DELETE machine`."""

    @web.authenticated
    @authorized
    async def get(self) -> None:
        """Tell the machine, the service's view of its allocation and what is used now."""
        self.answer(await machine_story(self.alc.parts.machines, self.alc.used(), os.environ))

    @web.authenticated
    @authorized
    async def delete(self) -> None:
        """Give the machine back: unsent results are sent first, then this server ends."""
        machines, given = self.alc.parts.machines, machine_given(os.environ)
        if machines is None or given is None or not given["allocation"]:
            raise Missing(NO_SERVICE, next_step="Stop this server where it was started.")
        told = await machines.release(given["allocation"])
        self.alc.watch.look("machine")
        self.answer({"allocation": told or None}, 202)


def machine_given(environment: Mapping[str, str]) -> dict[str, Any] | None:
    """The machine as its agent told this server, from ALC_MACHINE; None where there is none or it cannot be read."""
    try:
        told = json.loads(environment.get("ALC_MACHINE") or "null")
    except ValueError:
        return None
    return {name: told.get(name) for name in GIVEN} if isinstance(told, dict) else None


async def machine_story(
    machines: Machines | None, used: dict[str, Any], environment: Mapping[str, str]
) -> dict[str, Any]:
    """`{"machine", "used", "allocation", "problem", "words"}`; a silent service leaves a problem, not an error."""
    given = machine_given(environment)
    story: dict[str, Any] = {"machine": given, "used": used, "allocation": None, "problem": None, "words": ""}
    if given is None or machines is None:
        return {**story, "words": NO_SERVICE}
    try:
        theirs = {told.get("id"): told for told in await machines.allocations()}
    except AlcError as error:
        unasked = error if isinstance(error, Unavailable) else Unavailable(error.sentence, next_step=error.next_step)
        return {**story, "problem": unasked.as_json(), "words": error.line}
    return {**story, "allocation": theirs.get(given["allocation"])}
