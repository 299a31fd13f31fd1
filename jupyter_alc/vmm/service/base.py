"""What every handler does: prove the caller, read strictly, answer errors as `{"code", "message", "next_step"}`."""

from __future__ import annotations

import hmac
import json
import logging
from typing import TYPE_CHECKING, Any

from tornado import web

from jupyter_alc.core.errors import AlcError, BadInput, Denied
from jupyter_alc.vmm.service.checks import body_of

if TYPE_CHECKING:
    from types import TracebackType

    from jupyter_alc.vmm.rows import Machine
    from jupyter_alc.vmm.service.desk import Desk

log = logging.getLogger(__name__)

_WORDS = {
    400: ("bad_input", "The request is not understood.", "Look at the API description."),
    404: ("not_found", "There is nothing here.", "Look at the API description."),
    405: ("bad_input", "This cannot be done here.", "Look at the API description."),
    413: ("bad_input", "The request is too large.", "Send at most 1 MiB."),
}
_INTERNAL = ("internal", "Something went wrong in the machine service.", "Look at its log.")


class Handler(web.RequestHandler):
    """JSON in, JSON out; every error is told in the same shape."""

    desk: Desk

    def initialize(self, desk: Desk) -> None:
        """Take the desk that all handlers share."""
        self.desk = desk

    def set_default_headers(self) -> None:
        """Answer JSON that nobody keeps and no page may frame."""
        self.set_header("Content-Type", "application/json; charset=utf-8")
        self.set_header("Cache-Control", "no-store")
        self.set_header("X-Content-Type-Options", "nosniff")
        self.clear_header("Server")

    def compute_etag(self) -> None:
        """Answers are about now."""

    def check_xsrf_cookie(self) -> None:
        """No cookie proves anybody here, so none can be ridden."""

    def proof(self, scheme: str, words: int) -> list[str]:
        """Return the words after `scheme` in the Authorization header; `Denied` when they are not there."""
        told = self.request.headers.get("Authorization", "").split(" ")
        if len(told) != words + 1 or told[0].lower() != scheme or not all(told):
            raise Denied("This needs a proof of who asks.", next_step=f"Send the header Authorization: {scheme} …")
        return told[1:]

    def body(self) -> dict[str, Any]:
        """Return the JSON object that was sent."""
        return body_of(self.request.body)

    def query(self, *, required: tuple[str, ...] = (), optional: tuple[str, ...] = ()) -> dict[str, str]:
        """Return the query's values, each at most 255 characters; unknown, doubled and missing ones are refused."""
        told: dict[str, str] = {}
        for name in self.request.query_arguments:
            values = self.get_query_arguments(name, strip=False)
            if name not in {*required, *optional} or len(values) != 1 or len(values[0]) > 255:
                raise BadInput(f"{name[:60]} is not right.", next_step="Look at the API description.", field=name[:60])
            told[name] = values[0]
        for name in required:
            if not told.get(name):
                raise BadInput(f"{name} is missing.", next_step=f"Add ?{name}=…", field=name)
        return told

    def tell(self, told: dict[str, Any], status: int = 200) -> None:
        """Answer."""
        self.set_status(status)
        self.finish(json.dumps(told))

    def write_error(self, status_code: int, **how: Any) -> None:
        """Tell an error; foreign text never gets out."""
        error = how.get("exc_info", (None, None, None))[1]
        if isinstance(error, AlcError):
            self.tell(error.as_json(), error.http_status)
            return
        code, message, next_step = _WORDS.get(status_code, _WORDS[400] if status_code < 500 else _INTERNAL)
        self.tell({"code": code, "message": message, "next_step": next_step}, status_code)

    def log_exception(
        self,
        typ: type[BaseException] | None,
        value: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        """Log loudly only what nobody foresaw."""
        if isinstance(value, AlcError | web.HTTPError):
            log.info("%s %s: %s", self.request.method, self.request.path, value)
            return
        log.error("%s %s failed", self.request.method, self.request.path, exc_info=(typ, value, tb))  # type: ignore[arg-type]


class Nothing(Handler):
    """Whatever has no route."""

    async def prepare(self) -> None:
        """Answer as for a thing that is not there."""
        raise web.HTTPError(404)


class HubHandler(Handler):
    """For callers that hold the Hub's secret."""

    async def prepare(self) -> None:
        """Let in who holds the secret."""
        (secret,) = self.proof("hub", 1)
        if not hmac.compare_digest(secret.encode(), self.desk.hub_secret.encode()):
            raise Denied("This is not the Hub's secret.", next_step="Read it from the file that VMM made.")


class AgentHandler(Handler):
    """For agents that have enrolled."""

    machine: Machine

    async def prepare(self) -> None:
        """Let in a machine that holds its own secret."""
        key, secret = self.proof("machine", 2)
        self.machine = await self.desk.ask(self.desk.store.admit, key, secret)


class UserHandler(Handler):
    """For people, by their own Hub token."""

    user: str

    async def prepare(self) -> None:
        """Ask the Hub whose token it is."""
        (token,) = self.proof("token", 1)
        self.user = await self.desk.users.name_of(token)
