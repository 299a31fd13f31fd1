"""The base of our handlers: who may ask, how a body is read, how an error is told.

Every error leaves here as `{"code", "message", "next_step"}`, and `"field"` where one value is at fault. Words of
foreign libraries stay in the log.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar, cast

from jupyter_server.auth.decorator import authorized as _authorized
from jupyter_server.base.handlers import APIHandler
from jupyter_server.extension.handler import ExtensionHandlerMixin
from tornado import web

from jupyter_alc.core.errors import AlcError, BadInput
from jupyter_alc.server.metrics import ERRORS

if TYPE_CHECKING:
    from jupyter_alc.server.app import AlcExtension

BODY_LIMIT_BYTES = 64 * 1024

Verb = TypeVar("Verb", bound=Callable[..., Awaitable[None]])

_WORDS = {
    400: ("bad_request", "The request could not be read.", "Send it as the OpenAPI file describes it."),
    401: ("denied", "You are not logged in here.", "Log in, or send your token."),
    403: ("denied", "You are not allowed to do this.", "Log in as the owner of this server, or send your token."),
    404: ("not_found", "There is nothing at this address.", "Look at the OpenAPI file for the addresses there are."),
    405: ("not_allowed", "This address does not know that verb.", "Look at the OpenAPI file for the verbs it knows."),
    413: ("too_large", "The body is too large.", f"Send at most {BODY_LIMIT_BYTES} bytes."),
}
_OURS = (
    "internal",
    "Something went wrong in this server.",
    "Try again; the reason stands in the Jupyter server's log.",
)


def authorized(verb: Verb) -> Verb:
    """Let the server's authorizer decide, with the resource of the handler's class."""
    return cast("Verb", _authorized(verb))


def error_answer(status: int, error: BaseException | None) -> tuple[int, dict[str, str]]:
    """The status and the words with which `error` is told; a foreign error is told by its status alone."""
    if isinstance(error, AlcError):
        return error.http_status, error.as_json()
    code, message, next_step = _WORDS.get(status, _OURS)
    return status, {"code": code, "message": message, "next_step": next_step}


@web.stream_request_body
class AlcHandler(ExtensionHandlerMixin, APIHandler):  # type: ignore[misc]  # jupyter-server is not typed for us
    """A JSON handler of ours. Subclasses decorate each verb with `@web.authenticated` and `@authorized`."""

    auth_resource = "jupyter_alc"

    def initialize(self, name: str, **more: Any) -> None:
        """Begin with an empty body; it is collected up to our limit, not to the server's."""
        super().initialize(name, **more)
        self.body = bytearray()
        self.early = True  # until the body was asked for

    @property
    def alc(self) -> AlcExtension:
        """The extension this handler belongs to."""
        return cast("AlcExtension", self.extensionapp)

    async def prepare(self) -> None:
        """Refuse strangers and large bodies before anything else is looked at."""
        await super().prepare()
        if not self.current_user:
            raise web.HTTPError(403)
        if int(self.request.headers.get("Content-Length") or 0) > BODY_LIMIT_BYTES:
            raise web.HTTPError(413)
        self.early = False

    def data_received(self, chunk: bytes) -> None:
        """Collect the body up to one byte over the limit; one that told no length may still be too large."""
        self.body += chunk[: BODY_LIMIT_BYTES + 1 - len(self.body)]

    def options_of_body(self, *known: str) -> dict[str, Any]:
        """Return the body as a JSON object; an empty body is an empty object. With `known`, other keys are refused."""
        if len(self.body) > BODY_LIMIT_BYTES:
            raise web.HTTPError(413)
        try:
            told = json.loads(self.body or b"{}", parse_constant=_no_constant)
        except (ValueError, RecursionError):
            raise BadInput("The body is not JSON.", next_step="Send a JSON object in UTF-8.") from None
        if not isinstance(told, dict):
            raise BadInput("The body is not a JSON object.", next_step='Send an object such as {"workers": 1}.')
        if known and (odd := sorted(set(told) - set(known))):
            raise BadInput(
                f"Not known here: {', '.join(map(repr, odd))[:200]}.",
                next_step=f"Known are: {', '.join(known)}.",
                field=", ".join(odd)[:200],
            )
        return told

    def answer(self, told: Any, status: int = 200) -> None:
        """End the request with JSON that no cache keeps."""
        self.set_status(status)
        self.set_header("Content-Type", "application/json")
        self.set_header("Cache-Control", "no-store")
        self.finish(json.dumps(told))

    def write_error(self, status_code: int, **more: Any) -> None:
        """Tell an error in our words."""
        error = (more.get("exc_info") or (None, None, None))[1]
        status, words = error_answer(status_code, error)
        ERRORS.labels(code=words["code"]).inc()
        if self.early:  # the server cuts a connection whose body it did not read: a proxy must not use it again
            self.set_header("Connection", "close")
        self.answer(words, status)

    def log_exception(self, kind: Any, error: Any, trace: Any) -> None:
        """Errors we can explain are one line; others keep their trace."""
        if isinstance(error, AlcError):
            self.log.info("%s %s: %s", self.request.method, self.request.path, error.code)
        else:
            super().log_exception(kind, error, trace)


class UnknownAddress(AlcHandler):
    """Whatever else is asked for under our prefix."""

    async def prepare(self) -> None:
        """Say that there is nothing, once it is known who asks."""
        await super().prepare()
        self.early = True
        raise web.HTTPError(404)

    @web.authenticated
    @authorized
    async def get(self) -> None:
        """Never reached."""


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")
