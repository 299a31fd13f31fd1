"""The Spark UI of the user's own clusters, below the user's own server: read only, streamed, same origin."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import aiohttp
from tornado import web
from tornado.iostream import StreamClosedError
from yarl import URL

from jupyter_alc.core.errors import Denied, NotFound, Unavailable
from jupyter_alc.piezo.ui import needs_rewriting, rewritten
from jupyter_alc.server.clusters import asked
from jupyter_alc.server.handler import AlcHandler, authorized
from jupyter_alc.server.ui_logs import APPLICATIONS, asks_log, executors_path, log_address, logs_led, tells_logs
from jupyter_alc.server.ui_rules import (
    XSRF_TAIL,
    changes_something,
    is_asset,
    location_told,
    needs_tail,
    sent_headers,
    sent_query,
    told_headers,
)

DEADLINE_SECONDS = 60.0
PIECE_BYTES = 64 * 1024
AWAY = "The Spark UI of this cluster does not answer."
AWAY_NEXT = "Look at the cluster's state; the UI goes with the cluster."


class UiDoor:
    """One connection pool to the UIs on this machine; it keeps no cookies and follows nothing."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    def session(self) -> aiohttp.ClientSession:
        """The pool, made when first needed."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=DEADLINE_SECONDS),
            )
        return self._session

    async def close(self) -> None:
        """Close the pool."""
        if self._session is not None:
            await self._session.close()


class UiPage(AlcHandler):
    """What front page and pages share: they are seen in a browser, not by a script."""

    @property
    def content_security_policy(self) -> str:
        """Pages have scripts and styles of their own; nobody else may frame them."""
        return "frame-ancestors 'self'; connect-src 'self'; form-action 'self'; object-src 'none'; base-uri 'self'"

    def finish(self, chunk: Any = None) -> Any:
        """End the answer with the type it has: the base class would call every page JSON."""
        told = self._headers.get("Content-Type", "text/html; charset=UTF-8")
        return super().finish(chunk, set_content_type=told)

    def check_xsrf_cookie(self) -> None:
        """Ask for no token where a page loads Spark's own scripts and styles.

        Under JupyterHub a read by script needs the token beside the cookie, and a module script cannot carry one. These
        files are the same for everybody; a login is needed all the same. What the scripts then read carries the token.
        """
        if not (self.request.method in {"GET", "HEAD"} and is_asset(self.request.path)):
            super().check_xsrf_cookie()

    def prefix(self, id: str) -> str:
        """The address of this UI, without a slash at its end."""
        return f"{self.base_url.rstrip('/')}/jupyter-alc/v1/piezo/clusters/{id}/ui"


class FrontPage(UiPage):
    """`GET piezo/clusters/{id}/ui`: the UI's own front page would redirect out of our prefix."""

    @web.authenticated
    @authorized
    async def get(self, id: str) -> None:
        """Lead to the list of jobs."""
        await asked(self.alc.parts.clusters).get(id)
        self.redirect(f"{self.prefix(id)}/jobs/")


class UiHandler(UiPage):
    """`GET piezo/clusters/{id}/ui/{page}`."""

    @web.authenticated
    @authorized
    async def get(self, id: str, page: str) -> None:
        """Pass one page or file through; the front page leads to the list of jobs."""
        await self._page(id, page)

    @web.authenticated
    @authorized
    async def head(self, id: str, page: str) -> None:
        """The same without the body."""
        await self._page(id, page)

    async def _page(self, id: str, page: str) -> None:
        if changes_something(page):
            raise Denied("The Spark UI is read only here.", next_step="Interrupt the cell to end a query.")
        connection = await asked(self.alc.parts.clusters).connection(id)
        ui_url = str(connection.get("ui_url") or "")
        if not page:
            self.redirect(f"{self.prefix(id)}/jobs/")
            return
        if not ui_url:
            raise Unavailable("This cluster shows no Spark UI yet.", next_step="Wait until the cluster is ready.")
        if (log := asks_log(page)) is None:
            await self._pass_on(id, ui_url)
        else:
            await self._tell_log(ui_url, *log)

    async def _tell_log(self, ui_url: str, executor: str, kind: str) -> None:
        """Tell the end of an executor's log as plain text, so that nothing a program wrote there is a page."""
        try:
            executors = executors_path(await self._read(ui_url.rstrip("/") + APPLICATIONS)) or APPLICATIONS
            address = log_address(await self._read(ui_url.rstrip("/") + executors), executor, kind)
            told = None if address is None else await self._read(address)
        except (aiohttp.ClientError, TimeoutError) as error:
            self.log.info("log of executor %s: %s", executor, type(error).__name__)
            raise Unavailable("The executor's log cannot be read now.", next_step="Try again in a moment.") from None
        if told is None:
            raise NotFound(f"Executor {executor} has no {kind} here.", next_step="Look at the list of executors.")
        self.set_header("Content-Type", "text/plain; charset=UTF-8")
        self.set_header("X-Content-Type-Options", "nosniff")
        self.finish(told)

    async def _read(self, address: str) -> bytes:
        plain = {"Accept-Encoding": "identity"}
        session = self.alc.ui.session()
        async with session.get(address, headers=plain, allow_redirects=False, raise_for_status=True) as answer:
            return await answer.read()

    async def _pass_on(self, id: str, ui_url: str) -> None:
        prefix = self.prefix(id)
        page = self.request.path.partition(f"/piezo/clusters/{id}/ui")[2]
        query = sent_query(self.request.query)
        address = URL(f"{ui_url.rstrip('/')}{page}{'?' + query if query else ''}", encoded=True)
        try:
            async with self.alc.ui.session().request(
                str(self.request.method),
                address,
                headers=sent_headers(self.request.headers, prefix),
                allow_redirects=False,
            ) as answer:
                await self._tell(answer, ui_url, prefix, page)
        except (aiohttp.ClientError, TimeoutError) as error:
            self.log.info("Spark UI of %s: %s", id, type(error).__name__)
            if self._headers_written:  # the browser sees a short body: never a page that looks whole
                self.request.connection.stream.close()
                return
            raise Unavailable(AWAY, next_step=AWAY_NEXT) from None
        except StreamClosedError:  # the browser went away
            return

    async def _tell(self, answer: aiohttp.ClientResponse, ui_url: str, prefix: str, page: str) -> None:
        if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise Unavailable(AWAY, next_step=AWAY_NEXT)
        self.set_status(answer.status)
        self.clear_header("Content-Type")
        for name, value in told_headers(answer.headers).items():
            self.set_header(name, value)
        if location := answer.headers.get("Location"):
            led = location_told(location, ui_url, prefix)
            if led is None:
                raise Unavailable("The Spark UI led away from itself.", next_step="Open its jobs page.")
            self.set_header("Location", led)
        if needs_rewriting(page) and answer.status == HTTPStatus.OK and self.request.method == "GET":
            self.write(rewritten(await answer.content.read()))
        elif tells_logs(page) and answer.status == HTTPStatus.OK and self.request.method == "GET":
            self.write(logs_led(await answer.content.read(), prefix))
        else:
            async for piece in answer.content.iter_chunked(PIECE_BYTES):
                self.write(piece)
                await self.flush()
        if answer.status == HTTPStatus.OK and needs_tail(page) and self.request.method == "GET":
            self.write(XSRF_TAIL)
        self.finish()
