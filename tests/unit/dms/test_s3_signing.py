"""What proves who asks an S3 server: the same signature as Amazon's own client makes."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from botocore.auth import SIGV4_TIMESTAMP, UNSIGNED_PAYLOAD, S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from yarl import URL

from jupyter_alc.dms.adapters.s3_signing import Signature

pytestmark = pytest.mark.unit

WHEN = datetime(2031, 2, 3, 4, 5, 6, tzinfo=UTC)
KEYS = {"access_key": "ada", "secret_key": "not+so/secret"}
ADDRESSES = [
    "http://127.0.0.1:7480/bench",
    "https://s3.eu-west-1.amazonaws.com/bench/a/b%20c/%C3%A9%2B%25",
    "http://archive:80/bench?list-type=2&prefix=a%2Fb&delimiter=%2F&max-keys=1000&encoding-type=url",
    "https://archive/bench/key?uploads=",
    "http://[::1]:9000/bench/key?partNumber=2&uploadId=x~y",
]


class _Theirs(S3SigV4Auth):  # type: ignore[misc]
    def payload(self, _request: AWSRequest) -> str:
        return str(UNSIGNED_PAYLOAD)

    def headers_at(self, request: AWSRequest, when: datetime) -> dict[str, str]:
        request.context["timestamp"] = when.strftime(SIGV4_TIMESTAMP)
        self._modify_request_before_signing(request)
        text = self.string_to_sign(request, self.canonical_request(request))
        self._inject_signature_to_request(request, self.signature(text, request))
        return dict(request.headers.items())


@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.parametrize("verb", ["GET", "HEAD", "PUT", "DELETE", "POST"])
@pytest.mark.parametrize("token", ["", "a-token=="])
def test_a_request_is_signed_as_amazons_client_signs_it(address: str, verb: str, token: str) -> None:
    more = {"x-amz-copy-source": "/bench/a%20b", "x-amz-meta-note": " two  words ", "If-Match": '"tag"'}
    keys = {**KEYS, "session_token": token}
    ours = Signature(keys, "eu-west-1").headers(verb, URL(address, encoded=True), more, WHEN)
    theirs = _Theirs(Credentials(*KEYS.values(), token or None), "s3", "eu-west-1").headers_at(
        AWSRequest(verb, address, headers={name: value for name, value in more.items() if name.startswith("x-")}), WHEN
    )
    assert ours["Authorization"] == theirs["Authorization"]
    assert {name.lower() for name in theirs} <= {name.lower() for name in ours}
    assert ours["If-Match"] == '"tag"'


def test_the_key_of_a_day_is_not_used_on_the_next() -> None:
    signature, url = Signature(KEYS, "us-east-1"), URL("http://archive/bench/key", encoded=True)
    first, second = (signature.headers("GET", url, {}, WHEN.replace(day=day)) for day in (3, 4))
    fresh = Signature(KEYS, "us-east-1").headers("GET", url, {}, WHEN.replace(day=4))
    assert first != second == fresh
