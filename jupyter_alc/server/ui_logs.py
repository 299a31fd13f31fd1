"""Executors' logs. Pure: no socket.

Spark's UI links them at the worker's own address, which no browser outside the machine reaches. The links are led to
`…/ui/executor-logs/{executor}/{stdout|stderr}` of the user's own server, which asks the worker.
"""

from __future__ import annotations

import json
import re
from typing import Final
from urllib.parse import urlsplit

SHOWN_BYTES: Final = 200_000  # the end of a log: why something failed stands there
APPLICATIONS: Final = "/api/v1/applications"

_ASKED: Final = re.compile(r"executor-logs/([0-9]{1,9})/(stdout|stderr)\Z")
_TOLD: Final = re.compile(
    rb"http://[A-Za-z0-9.\[\]:-]+/logPage/?\?appId=[A-Za-z0-9._-]+&executorId=([0-9]{1,9})&logType=(stdout|stderr)"
)
_HERE: Final = frozenset({"127.0.0.1", "localhost", "::1"})


def asks_log(page: str) -> tuple[str, str] | None:
    """The executor and the kind of log that `page` is; None for every other page."""
    found = _ASKED.fullmatch(page)
    return (found[1], found[2]) if found else None


def tells_logs(path: str) -> bool:
    """Whether the answer for `path` of the UI may hold links to logs."""
    return path.startswith(APPLICATIONS)


def logs_led(answer: bytes, prefix: str) -> bytes:
    """The answer with every link to a log led below `prefix`."""
    return _TOLD.sub(lambda found: b"%s/executor-logs/%s/%s" % (prefix.encode(), found[1], found[2]), answer)


def executors_path(applications: bytes) -> str | None:
    """Where the UI tells the executors of its one application; None where it has none."""
    try:
        return f"{APPLICATIONS}/{json.loads(applications)[0]['id']}/allexecutors"
    except (ValueError, LookupError, TypeError):
        return None


def log_address(executors: bytes, executor: str, kind: str) -> str | None:
    """Where the worker answers with the end of that log as text; None where the UI knows none on this machine."""
    try:
        told = {one["id"]: one["executorLogs"] for one in json.loads(executors)}
        link = urlsplit(told[executor][kind])
    except (ValueError, LookupError, TypeError, AttributeError):
        return None
    if link.scheme != "http" or link.hostname not in _HERE or link.path.strip("/") != "logPage":
        return None
    return f"http://{link.netloc}/log/?{link.query}&byteLength={SHOWN_BYTES}"
