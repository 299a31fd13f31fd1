"""Who asks an S3 server: keys, the signature on each request, keys renewed before they end, a clock that is wrong."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from jupyter_alc.core.errors import BadInput
from jupyter_alc.dms.adapters.versions import http_seconds

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from yarl import URL

    Renew = Callable[[], Awaitable[Mapping[str, str]]]

_KIND: Final = "AWS4-HMAC-SHA256"
_UNSIGNED: Final = "UNSIGNED-PAYLOAD"
_EARLY: Final = timedelta(minutes=5)
_WRONG_CLOCK: Final = timedelta(minutes=4)


class Signature:
    """Signature version 4 by one pair of keys. Bodies are not hashed (their checksum goes another way).

    A request costs two hashes: the key of a day is made once. botocore's way costs as much as all else of a request.
    """

    def __init__(self, keys: Mapping[str, str], region: str) -> None:
        self._access, self._token = keys["access_key"], keys.get("session_token", "")
        self._secret, self._region = f"AWS4{keys['secret_key']}".encode(), region
        self._day, self._key = "", b""

    def headers(self, verb: str, url: URL, more: Mapping[str, str], when: datetime) -> dict[str, str]:
        """`more`, of which what is named `x-amz-…` is signed, and what proves who asks."""
        stamp = when.strftime("%Y%m%dT%H%M%SZ")
        own = {"X-Amz-Date": stamp, "X-Amz-Content-SHA256": _UNSIGNED}
        if self._token:
            own["X-Amz-Security-Token"] = self._token
        told = {"host": url.host_port_subcomponent or "", **{name.lower(): value for name, value in own.items()}}
        for name, value in more.items():
            if name.lower().startswith("x-amz-"):
                told[name.lower()] = " ".join(value.split())
        names = sorted(told)
        signed, scope = ";".join(names), f"{stamp[:8]}/{self._region}/s3/aws4_request"
        lines = [verb, url.raw_path, _in_order(url.raw_query_string), *(f"{name}:{told[name]}" for name in names)]
        asked = hashlib.sha256("\n".join([*lines, "", signed, _UNSIGNED]).encode()).hexdigest()
        text = f"{_KIND}\n{stamp}\n{scope}\n{asked}".encode()
        proof = hmac.digest(self._key_of(stamp[:8]), text, "sha256").hex()
        who = f"{_KIND} Credential={self._access}/{scope}, SignedHeaders={signed}, Signature={proof}"
        return {**more, **own, "Authorization": who}

    def _key_of(self, day: str) -> bytes:
        if day != self._day:
            key = self._secret
            for word in (day, self._region, "s3", "aws4_request"):
                key = hmac.digest(key, word.encode(), "sha256")
            self._day, self._key = day, key
        return self._key


def _in_order(query: str) -> str:
    """The words of a query in order of name, each with its `=`."""
    pairs = (pair.partition("=") for pair in query.split("&") if pair)
    return "&".join(f"{name}={value}" for name, value in sorted((name, value) for name, _, value in pairs))


class Signer:
    """Headers for each request. `credentials`: `access_key`, `secret_key`, perhaps `session_token` and `expires`.

    Without keys nothing is signed (a public bucket). `renew` is asked for others five minutes before `expires`, and
    once when the server refuses those there are.
    """

    def __init__(self, region: str, credentials: Mapping[str, str], renew: Renew | None) -> None:
        self._region, self._renew, self._offset = region, renew, timedelta()
        self._lock, self.generation = asyncio.Lock(), 0
        self._take(credentials)

    def take(self, credentials: Mapping[str, str]) -> None:
        """Sign with these from now on; what was refused with those of before is signed anew."""
        self._take(credentials)
        self.generation += 1

    def _take(self, credentials: Mapping[str, str]) -> None:
        keys = credentials.get("access_key"), credentials.get("secret_key")
        if bool(keys[0]) != bool(keys[1]):
            raise BadInput(
                "One of the two keys is missing.", next_step="Give access_key and secret_key.", field="credentials"
            )
        self._signature = Signature(credentials, self._region) if all(keys) else None
        self._expires = _moment(credentials.get("expires", ""))

    def _now(self) -> datetime:
        return datetime.now(UTC) + self._offset

    async def headers(self, verb: str, url: URL, more: Mapping[str, str]) -> dict[str, str]:
        """`more` and what proves who asks."""
        if self._renew and self._end_soon():
            async with self._lock:
                if self._end_soon():
                    self._take(await self._renew())
        if self._signature is None:
            return dict(more)
        return self._signature.headers(verb, url, more, self._now())

    @property
    def ended(self) -> bool:
        """Whether the keys are too old, which some servers (Ceph) tell from nothing else that they do not allow."""
        return self._expires is not None and self._now() >= self._expires

    def _end_soon(self) -> bool:
        return self._expires is not None and self._now() > self._expires - _EARLY

    async def mend(self, refused: Mapping[str, str], generation: int) -> bool:
        """Say whether it is worth signing anew what was refused with these headers.

        Adopts the server's clock if ours is wrong, else gets other keys; done once for all that `generation` signed.
        """
        async with self._lock:
            if generation != self.generation:
                return True
            told = http_seconds(refused.get("Date"))
            offset = datetime.fromtimestamp(told, UTC) - datetime.now(UTC) if told else self._offset
            if abs(offset - self._offset) > _WRONG_CLOCK:
                self._offset = offset
            elif self._renew is not None:
                self._take(await self._renew())
            else:
                return False
            self.generation += 1
            return True


def _moment(text: str) -> datetime | None:
    if not text:
        return None
    try:
        told = datetime.fromisoformat(text)
    except ValueError as error:
        raise BadInput(
            f"{text!r} is no time.", next_step="Write it as 2030-01-31T12:00:00Z.", field="credentials"
        ) from error
    return told if told.tzinfo else told.replace(tzinfo=UTC)
