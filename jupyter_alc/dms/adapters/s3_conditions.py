"""What a bucket really does when a write carries a condition: tried under a hidden name, never believed."""

from __future__ import annotations

import hashlib
import secrets
from base64 import b64encode
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from jupyter_alc.dms.adapters.interface import HIDDEN
from jupyter_alc.dms.adapters.s3_answers import quoted
from jupyter_alc.dms.tokens import bare

if TYPE_CHECKING:
    from jupyter_alc.dms.adapters.s3_bucket import Bucket

_MET: Final = frozenset({200, 201, 204})
_NOT_MET: Final = frozenset({409, 412})
_NOT_KNOWN: Final = frozenset({400, 405, 501})
"""What servers say of a condition they do not know."""
_TRIAL: Final = f"{HIDDEN}trial-"
_LONGEST_SECONDS: Final = 60.0
_NO_TAG: Final = '"0123456789abcdef0123456789abcdef"'


@dataclass(frozen=True, slots=True)
class Conditions:
    """What holds for a PUT into a bucket.

    `absent`: `If-None-Match: *` keeps what is there. `match`: how `If-Match` wants the ETag, "quoted" or "bare"; "" if
    in neither form it both refuses a wrong and takes a right one. `checked`: a body that is not of its MD5 is refused.
    """

    absent: bool = False
    match: str = ""
    checked: bool = False

    @property
    def compares_and_replaces(self) -> bool:
        """Say whether a PUT is one step that overwrites nothing it did not name and keeps nothing damaged."""
        return self.absent and bool(self.match) and self.checked

    def headers(self, base: str | None) -> dict[str, str]:
        """The condition that the file there is still `base`; with None, that there is none."""
        if base is None:
            return {"If-None-Match": "*"}
        return {"If-Match": tag(base, self.match)}


def tag(token: str, form: str) -> str:
    """A token as the ETag of a condition in this form."""
    etag = bare(token)
    return etag.strip('"') if form == "bare" else etag


def md5_header(digest: bytes) -> dict[str, str]:
    """What has the archive check a body on arrival."""
    return {"Content-MD5": b64encode(digest).decode()}


def md5(data: bytes) -> bytes:
    """The checksum that S3 compares; it is for accidents, not against people."""
    return hashlib.md5(data, usedforsecurity=False).digest()


async def probe(bucket: Bucket) -> Conditions:
    """Find out with at most ten small requests. Raises what the archive answered if it does not let us write."""
    key = f"{bucket.top}{_TRIAL}{secrets.token_hex(8)}"
    trial = _Trial(bucket, key)
    try:
        checked = (await trial.put({"If-None-Match": "*", **md5_header(md5(b"another"))}))[0] in _NOT_KNOWN
        if not checked or not (await trial.put({"If-None-Match": "*"}))[1]:
            return Conditions()
        absent = (await trial.put({"If-None-Match": "*"}))[0] in _NOT_MET
        for form in ("bare", "quoted") if absent else ():
            refused = (await trial.put({"If-Match": tag(_NO_TAG, form)}))[0] in _NOT_MET
            if refused and (await trial.put({"If-Match": tag(trial.etag, form)}))[0] in _MET:
                return Conditions(absent=absent, match=form, checked=checked)
        return Conditions(absent=absent, checked=checked)
    finally:
        await _clear(bucket, key)


async def _clear(bucket: Bucket, key: str) -> None:
    """Remove the trial's key, and those of trials that were killed."""
    found = await bucket.below(f"{bucket.top}{_TRIAL}", 1000) or {}
    now = found[key].mtime if key in found else 0.0
    for old in {key, *(other for other, one in found.items() if one.mtime < now - _LONGEST_SECONDS)}:
        async with bucket.ask("DELETE", "", old, fine={200, 204, 404}):
            pass


@dataclass(slots=True)
class _Trial:
    """PUTs of one byte that count up, so that each version has an ETag of its own."""

    bucket: Bucket
    key: str
    etag: str = ""
    number: int = 0

    async def put(self, headers: dict[str, str]) -> tuple[int, str]:
        self.number += 1
        body = str(self.number).encode()
        fine = _MET | _NOT_MET | _NOT_KNOWN
        async with self.bucket.ask("PUT", "", self.key, headers=headers, body=lambda: body, fine=fine) as answer:
            told = quoted(answer.headers["ETag"]) if answer.status in _MET and "ETag" in answer.headers else ""
            self.etag = told or self.etag
            return answer.status, told
