"""What an archive says of a file's bytes in the headers of its answer, as `algorithm:hex`. Pure."""

from __future__ import annotations

import binascii
import re
from base64 import b64decode
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

WANTED: Final = {"x-amz-checksum-mode": "ENABLED", "Want-Repr-Digest": "sha-256=1", "Want-Digest": "sha-256"}
_S3: Final = ("sha256", "crc64nvme", "crc32c", "crc32", "sha1")
_BYTES: Final = {"sha512": 64, "sha256": 32, "sha1": 20, "md5": 16, "crc64nvme": 8, "crc32c": 4, "crc32": 4}
_DIGEST: Final = re.compile(r"\s*([A-Za-z0-9-]+)=:?([A-Za-z0-9+/=]+):?")


def checksum_in(headers: Mapping[str, str]) -> str:
    """The checksum of the whole file; "" where the answer tells none.

    S3's of an object in parts is one of checksums, and an ETag is none at all: neither is taken.
    """
    for algorithm in _S3:
        found = _told(algorithm, headers.get(f"x-amz-checksum-{algorithm}", ""))
        if found:
            return found
    owncloud = headers.get("OC-Checksum", "").split()
    for one in owncloud:
        name, _, value = one.partition(":")
        if len(value) == 2 * _BYTES.get(name.lower(), -1) and not value.strip("0123456789abcdefABCDEF"):
            return f"{name.lower()}:{value.lower()}"
    for field in ("Repr-Digest", "Digest"):
        for name, value in _DIGEST.findall(headers.get(field, "")):
            if found := _told(name.lower().replace("-", ""), value):
                return found
    return ""


def _told(algorithm: str, written: str) -> str:
    """A checksum in base 64; "" for what is none."""
    algorithm = "sha1" if algorithm == "sha" else algorithm
    try:
        value = b64decode(written, validate=True)
    except (binascii.Error, ValueError):
        return ""
    return f"{algorithm}:{value.hex()}" if len(value) == _BYTES.get(algorithm, -1) else ""
