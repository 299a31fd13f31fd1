"""One request to the user's own Jupyter server, with a deadline. Standard library only: a kernel's loop is not ours."""

from __future__ import annotations

import json
from collections.abc import Callable
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from math import isfinite
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

from jupyter_alc.core.errors import AlcError, BadInput, Denied, Missing, TooLate, Unavailable, from_json

if TYPE_CHECKING:
    from jupyter_alc.magics.finding import FoundServer

Told = dict[str, Any]
"""What a server tells: JSON objects."""
Tell = Callable[[Told], None]
"""Called with a thing that is waited for, at every look."""
PREFIX = "/jupyter-alc/v1"
DEADLINE_SECONDS = 30.0
LONGEST_SECONDS = 3600.0
ANSWER_LIMIT_BYTES = 32 * 1024 * 1024
TRY_AGAIN = "Try again; if it stays silent, restart your server from the Hub's control panel."


class Asking:
    """Asks one server. Every failure is an `AlcError`: its own, or the one the server told."""

    def __init__(self, server: FoundServer) -> None:
        self._server = server
        self._urls = list(server.urls)

    @property
    def base_path(self) -> str:
        """The path below which the browser sees the server."""
        return self._server.base_path

    def ask(
        self,
        verb: str,
        path: str,
        body: dict[str, Any] | None = None,
        *,
        query: dict[str, str] | None = None,
        deadline_seconds: float = DEADLINE_SECONDS,
    ) -> Any:
        """Return the JSON of the answer; raise what the server told, or `Unavailable` when it told nothing."""
        address = f"{PREFIX}/{path}{'?' + urlencode(query) if query else ''}"
        sent = None if body is None else _as_json(body)
        connection, base = self._connect(min(max(deadline_seconds, 1.0), LONGEST_SECONDS))
        headers = {"Authorization": f"token {self._server.token}", "Accept": "application/json"}
        if sent is not None:
            headers["Content-Type"] = "application/json"
        try:
            connection.request(verb, f"{base}{address}", sent, headers)
            answer = connection.getresponse()
            told = answer.read(ANSWER_LIMIT_BYTES)
        except TimeoutError:
            raise TooLate(f"The server did not answer within {deadline_seconds:.0f} s.", next_step=TRY_AGAIN) from None
        except (OSError, HTTPException):
            raise Unavailable("The connection to your Jupyter server broke.", next_step=TRY_AGAIN) from None
        finally:
            connection.close()
        return read_answer(answer.status, told)

    def _connect(self, seconds: float) -> tuple[HTTPConnection, str]:
        """Connect to the first address that takes it, and keep that one for the next time."""
        for url in list(self._urls):
            to = urlsplit(url)
            kind = HTTPSConnection if to.scheme == "https" else HTTPConnection
            connection = kind(to.hostname or "127.0.0.1", to.port, timeout=min(seconds, 5.0))
            try:
                connection.connect()
            except OSError:
                connection.close()
                continue
            self._urls = [url]
            connection.sock.settimeout(seconds)
            return connection, to.path
        self._urls = list(self._server.urls)
        raise Unavailable("Your Jupyter server does not answer.", next_step=TRY_AGAIN)


def _as_json(body: dict[str, Any]) -> bytes:
    try:
        return json.dumps(body, allow_nan=False).encode()
    except ValueError:
        odd = next((name for name, value in body.items() if isinstance(value, float) and not isfinite(value)), "it")
        raise BadInput(f"{odd} is not a number.", next_step="Give digits, such as 60.", field=odd) from None


def read_answer(status: int, told: bytes) -> Any:
    """The JSON of a good answer; else the error it tells, or one for a server that is not ours."""
    try:
        answer = json.loads(told) if told else None
    except ValueError:
        answer = None
    if status < 400:
        return answer
    if isinstance(answer, dict) and "code" in answer:
        raise from_json(answer)
    raise _not_ours(status)


def _not_ours(status: int) -> AlcError:
    if status in {401, 403}:
        return Denied(
            "Your Jupyter server refused this kernel's token.", next_step="Restart the server, then the kernel."
        )
    if status == 404:
        return Missing(
            "Your Jupyter server runs without the jupyter-alc extension.",
            next_step="Enable it: jupyter server extension enable jupyter_alc; then restart the server.",
        )
    return Unavailable("Your Jupyter server gave no answer we understand.", next_step=TRY_AGAIN)
