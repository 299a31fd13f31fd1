"""How the Hub tells a person that something cannot be: one message with the next step, everywhere the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jupyterhub.spawner import SpawnException

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jupyter_alc.core.errors import AlcError


class Refused(SpawnException):  # type: ignore[misc]
    """A start that is refused or failed; shown in the form, on the progress page and by the Hub's REST alike.

    The status is the error's own (409 "not now", 503 "could not ask"); wrong options are a 400, as JupyterHub has it.
    """

    def __init__(self, problems: Sequence[AlcError]) -> None:
        message = " ".join(problem.line for problem in problems)
        status = 400 if problems[0].code == "bad_input" else problems[0].http_status
        super().__init__(message, reason=problems[0].code, status_code=status)
        self.jupyterhub_message = message
