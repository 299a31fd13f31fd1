"""Who asks an S3 server: keys, the signature on each request, keys renewed before they end, a clock that is wrong."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from botocore.auth import SIGV4_TIMESTAMP, UNSIGNED_PAYLOAD, S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from jupyter_alc.core.errors import BadInput
from jupyter_alc.dms.adapters.versions import http_seconds

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from yarl import URL

    Renew = Callable[[], Awaitable[Mapping[str, str]]]

_EARLY: Final = timedelta(minutes=5)
_WRONG_CLOCK: Final = timedelta(minutes=4)


class _Signature(S3SigV4Auth):  # type: ignore[misc]
    """botocore's, with a time that is handed in and bodies that are not hashed (their checksum goes another way)."""

    def payload(self, _request: AWSRequest) -> str:
        return str(UNSIGNED_PAYLOAD)

    def sign(self, request: AWSRequest, when: datetime) -> None:
        """What `add_auth` does, at `when`."""
        request.context["timestamp"] = when.strftime(SIGV4_TIMESTAMP)
        self._modify_request_before_signing(request)
        text = self.string_to_sign(request, self.canonical_request(request))
        self._inject_signature_to_request(request, self.signature(text, request))


class Signer:
    """Headers for each request. `credentials`: `access_key`, `secret_key`, perhaps `session_token` and `expires`.

    Without keys nothing is signed (a public bucket). `renew` is asked for others five minutes before `expires`, and
    once when the server refuses those there are.
    """

    def __init__(self, region: str, credentials: Mapping[str, str], renew: Renew | None) -> None:
        self._region, self._renew, self._offset = region, renew, timedelta()
        self._lock, self.generation = asyncio.Lock(), 0
        self._take(credentials)

    def _take(self, credentials: Mapping[str, str]) -> None:
        keys = credentials.get("access_key"), credentials.get("secret_key")
        if bool(keys[0]) != bool(keys[1]):
            raise BadInput(
                "One of the two keys is missing.", next_step="Give access_key and secret_key.", field="credentials"
            )
        self._keys = Credentials(*keys, credentials.get("session_token") or None) if all(keys) else None
        self._expires = _moment(credentials.get("expires", ""))

    def _now(self) -> datetime:
        return datetime.now(UTC) + self._offset

    async def headers(self, verb: str, url: URL, more: Mapping[str, str]) -> dict[str, str]:
        """`more` and what proves who asks."""
        if self._renew and self._end_soon():
            async with self._lock:
                if self._end_soon():
                    self._take(await self._renew())
        if self._keys is None:
            return dict(more)
        request = AWSRequest(verb, str(url), headers={k: v for k, v in more.items() if k.lower().startswith("x-amz-")})
        _Signature(self._keys, "s3", self._region).sign(request, self._now())
        return {**more, **dict(request.headers.items())}

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
