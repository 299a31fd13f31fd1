"""What is told of a file in its archive: its address without credentials, its checksum as the archive says it (N17)."""

import pytest

from jupyter_alc.dms.adapters.checksums import checksum_in
from jupyter_alc.dms.addresses import address_of, without_secrets

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("url", "path", "address"),
    [
        ("https://ada:secret@archive.eu:8443/dav/ada", "run 1/a#b.nxs", "https://archive.eu:8443/dav/ada/run%201/a%23b.nxs"),
        ("s3://bucket/top?endpoint=http://host:7480&secret=x", "k", "s3://bucket/top/k?endpoint=http://host:7480"),
        ("/data/raw/", "f", "file:///data/raw/f"),
        ("file:///data/raw", "", "file:///data/raw"),
        ("https://host/files?token=secret", "odd-\udcff", "https://host/files/odd-%FF"),
    ],
)  # fmt: skip
def test_an_address_leads_to_the_file_and_names_no_credentials(url, path, address):
    assert address_of(url, path) == address


@pytest.mark.parametrize(
    ("headers", "checksum"),
    [
        ({"x-amz-checksum-crc32c": "yZRlqg=="}, "crc32c:c99465aa"),
        ({"x-amz-checksum-sha256": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}, "sha256:" + "00" * 32),
        ({"x-amz-checksum-crc32c": "yZRlqg==-3"}, ""),
        ({"ETag": '"d41d8cd98f00b204e9800998ecf8427e"'}, ""),
        ({"OC-Checksum": "MD5:D41D8CD98F00B204E9800998ECF8427E"}, "md5:d41d8cd98f00b204e9800998ecf8427e"),
        ({"Repr-Digest": "md5=:1B2M2Y8AsgTpgAmY7PhCfg==:"}, "md5:d41d8cd98f00b204e9800998ecf8427e"),
        ({"Digest": "SHA-256=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=,unixsum=30637"}, "sha256:" + "00" * 32),
        ({"Digest": "SHA=2jmj7l5rSw0yVb/vlWAYkK/YBwk="}, "sha1:da39a3ee5e6b4b0d3255bfef95601890afd80709"),
        ({"OC-Checksum": "MD5:no hex"}, ""),
        ({}, ""),
    ],
)  # fmt: skip
def test_a_checksum_is_what_the_archive_says_and_nothing_that_looks_like_one(headers, checksum):
    assert checksum_in(headers) == checksum


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("zip::https://ada:secret@host:1/a.zip?token=secret#x", "zip::https://host:1/a.zip"),
        ("s3://bucket/top?secret=x", "s3://bucket/top"),
        ("/data/runs", "/data/runs"),
        ("zip", "zip"),
    ],
)
def test_what_a_message_tells_of_an_address_holds_no_secret(url, told):
    assert without_secrets(url) == told
