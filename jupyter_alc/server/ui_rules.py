"""What passes between the browser and a Spark UI, and what does not. Pure: no socket.

The UI has no login, so this door is its access control: nothing of the browser's identity goes in, no cookie comes out,
and every address stays below the user's own server. Under JupyterHub a page's own reads need the XSRF token, so the
script that all pages load first is told to send it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, urlencode, urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

SENT: Final = ("Accept", "Accept-Language", "If-Modified-Since", "If-None-Match")
TOLD: Final = (
    "Cache-Control",
    "Content-Disposition",
    "Content-Type",
    "ETag",
    "Expires",
    "Last-Modified",
    "X-Content-Type-Options",
)
FIRST_SCRIPTS: Final = frozenset({"jquery.min.js", "webui.js"})
_ASSET: Final = re.compile(r"/piezo/clusters/[a-z0-9-]+/ui/static/[A-Za-z0-9._/-]+\Z")
OURS_ALONE: Final = frozenset({"_xsrf", "token"})

# Reads of the page's own scripts carry the token that JupyterHub wants beside the cookie.
XSRF_TAIL: Final = b"""
;(function () {
  var found = document.cookie.match(/(?:^|;\\s*)_xsrf=([^;]*)/);
  if (!found || window.alcSendsToken) { return; }
  window.alcSendsToken = true;
  var token = decodeURIComponent(found[1]);
  var send = XMLHttpRequest.prototype.send;
  XMLHttpRequest.prototype.send = function () {
    try { this.setRequestHeader('X-XSRFToken', token); } catch (e) { /* not open: send tells it */ }
    return send.apply(this, arguments);
  };
  var ask = window.fetch;
  window.fetch = function (what, how) {
    var options = Object.assign({}, how);
    options.headers = new Headers(options.headers || {});
    options.headers.set('X-XSRFToken', token);
    return ask.call(this, what, options);
  };
})();
"""


def sent_headers(browser: Mapping[str, str], prefix: str) -> dict[str, str]:
    """The headers the UI gets: few of the browser's, and the prefix its links must have."""
    few = {name: browser[name] for name in SENT if name in browser}
    return {**few, "Accept-Encoding": "identity", "X-Forwarded-Context": prefix}


def told_headers(answer: Mapping[str, str]) -> dict[str, str]:
    """The headers the browser gets: none that sets a cookie, none that belongs to one connection."""
    return {name: answer[name] for name in TOLD if name in answer}


def sent_query(query: str) -> str:
    """The query without what only our server may see."""
    if not any(word in query for word in OURS_ALONE):
        return query
    return urlencode([pair for pair in parse_qsl(query, keep_blank_values=True) if pair[0] not in OURS_ALONE])


def location_told(location: str, ui_url: str, prefix: str) -> str | None:
    """Where a redirect of the UI at `ui_url` leads below `prefix`; None when it leads away from the UI."""
    to, ui = urlsplit(location), urlsplit(ui_url)
    if to.scheme not in {"", "http"} or (to.netloc and to.port != ui.port):
        return None
    path = to.path.removeprefix(prefix) if to.path == prefix or to.path.startswith(f"{prefix}/") else to.path
    return f"{prefix}/{path.lstrip('/')}{'?' + to.query if to.query else ''}"


def is_asset(path: str) -> bool:
    """Whether this is a file that comes with Spark and says nothing of the user: `…/ui/static/<file>`."""
    return ".." not in path and _ASSET.search(path) is not None


def needs_tail(path: str) -> bool:
    """Whether this is one of the scripts that the pages of the UI load before their own."""
    return path.rpartition("/")[2] in FIRST_SCRIPTS


def changes_something(page: str) -> bool:
    """Whether this page would end a job or a stage; Spark's UI does so on a plain GET where its setting allows it."""
    return "kill" in page.split("/")
