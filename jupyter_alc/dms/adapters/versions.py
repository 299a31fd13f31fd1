"""Version tokens of archives that speak HTTP: made from what they tell, sent as conditions, looked for in answers."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final, Protocol

from jupyter_alc.core.errors import VersionChanged
from jupyter_alc.dms.tokens import bare, is_unsettled, unsettled

if TYPE_CHECKING:
    from collections.abc import Mapping


class Answer(Protocol):
    """An answer's head."""

    @property
    def status(self) -> int:
        """HTTP's number."""
        ...

    @property
    def headers(self) -> Mapping[str, str]:
        """By name, whatever its case."""
        ...


MADE: Final = '"time-'
"""How a token begins that we made, of time and size, for an archive that tells no ETag."""
_STEP_SECONDS: Final = 2.0
_CONTENT_RANGE: Final = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")


def http_seconds(text: str | None) -> float:
    """HTTP's time, whole seconds since 1970; 0 when there is none."""
    try:
        return parsedate_to_datetime(text).timestamp() if text else 0.0
    except (ValueError, OverflowError):
        return 0.0


def server_time(date: str | None) -> float:
    """The server's clock by its Date header, else ours."""
    told = http_seconds(date)
    return told or datetime.now(UTC).timestamp()


def is_weak(etag: str, modified: float) -> bool:
    """Say whether `etag` is no better than a time in whole seconds: absent, declared weak, or made from that time."""
    if not etag or etag.startswith("W/"):
        return True
    second = int(modified)
    parts = etag.strip('"').replace(":", "-").split("-")
    return second > 0 and (str(second) in parts or f"{second:x}" in [part.lower() for part in parts])


def token_of(etag: str, modified: float, size: int, now: float) -> str:
    """The version token of what was seen at `now` (the server's clock, where it told)."""
    token = etag if etag else made_token(modified, size)
    if is_weak(etag, modified) and now - modified < _STEP_SECONDS:
        return unsettled(token, now)
    return token


def made_token(modified: float, size: int) -> str:
    """The token of a file of which the archive tells time and size only."""
    return f'{MADE}{int(modified)}-{size}"'


def condition(if_token: str) -> dict[str, str]:
    """The header that binds a request to a version; none where a server without strong ETags would refuse any."""
    etag = bare(if_token)
    return {"If-Match": etag} if etag and not etag.startswith(("W/", MADE)) else {}


def must_be(answer: Answer, path: str, if_token: str) -> None:
    """`VersionChanged` unless this answer is of that version.

    Where the token is of a time in whole seconds and not settled, the size tells versions of that second apart: an
    answer without it could be of any of them.
    """
    etag = bare(if_token)
    if etag.startswith(MADE):
        modified = etag[len(MADE) :].partition("-")[0]
        same = str(int(http_seconds(answer.headers.get("Last-Modified")))) == modified
        size = size_of(answer)
        same = same and (size == size_in(etag) or (size is None and not is_unsettled(if_token)))
    else:
        same = answer.headers.get("ETag") == etag
    if not same:
        raise changed(path)


def size_in(token: str) -> int | None:
    """The size of the file, where the token was made of it; else None."""
    etag = bare(token)
    return int(etag.strip('"').rpartition("-")[2]) if etag.startswith(MADE) else None


def size_of(answer: Answer) -> int | None:
    """The size of the whole file, as an answer to a GET tells it; None when it does not."""
    if answer.status == 206:
        told = content_range(answer.headers)
        return told[2] if told else None
    return body_size(answer)


def body_size(answer: Answer) -> int | None:
    """The size of its body, where it is told."""
    told = answer.headers.get("Content-Length", "")
    return int(told) if told.isascii() and told.isdigit() else None


def content_range(headers: Mapping[str, str]) -> tuple[int, int, int | None] | None:
    """First byte, the one after the last, and the size of the file where it is told; None when there is no such."""
    told = _CONTENT_RANGE.fullmatch(headers.get("Content-Range", ""))
    return (int(told[1]), int(told[2]) + 1, None if told[3] == "*" else int(told[3])) if told else None


def changed(path: str) -> VersionChanged:
    """What every adapter says of a version that is no more."""
    return VersionChanged(f"{path} changed in the archive.", next_step="Open it again to see the new version.")
