"""An HTTP server in which no caller can take all connections: people reach it from their machines."""

from __future__ import annotations

import logging
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from tornado.httpserver import HTTPServer

if TYPE_CHECKING:
    from tornado.http1connection import HTTP1ServerConnection
    from tornado.iostream import IOStream

log = logging.getLogger(__name__)

MOST: Final = 32  # an agent needs two, a person's server one, each of her kernels one for a moment
IDLE_SECONDS: Final = 60.0  # twice a long poll


class FairServer(HTTPServer):
    """Holds at most `MOST` connections of one address; `own`, from which the Hub asks for everybody, has no limit."""

    def initialize(self, request_callback: Any, *, own: str, **settings: Any) -> None:  # type: ignore[override]
        """Take tornado's settings and the address we listen on."""
        super().initialize(request_callback, idle_connection_timeout=IDLE_SECONDS, **settings)
        self._own = own
        self._held: Counter[str] = Counter()

    def handle_stream(self, stream: IOStream, address: tuple[Any, ...]) -> None:
        """Serve a new connection, or hang up when its address has enough."""
        host = str(address[0])
        if host != self._own and self._held[host] >= MOST:
            log.info("%s holds %d connections; more are refused", host, MOST)
            stream.close()
            return
        self._held[host] += 1
        super().handle_stream(stream, address)

    def on_close(self, server_conn: object) -> None:
        """Count a connection that ended."""
        super().on_close(server_conn)
        held: HTTP1ServerConnection = server_conn  # type: ignore[assignment]
        host = str(held.context.address[0])  # type: ignore[attr-defined]
        self._held[host] -= 1
        if not self._held[host]:
            del self._held[host]
