from __future__ import annotations

import pytest

from jupyter_alc.dms.adapters.answers import NotAnAnswer
from jupyter_alc.dms.adapters.propfind import parse
from jupyter_alc.dms.adapters.versions import is_weak, token_of
from jupyter_alc.dms.tokens import bare, is_unsettled, same_version, unsettled

pytestmark = pytest.mark.unit

ANSWER = b"""<?xml version="1.0"?>
<D:multistatus xmlns:D="DAV:">
<D:response><D:href>/results/ada/</D:href><D:propstat><D:prop><D:resourcetype><D:collection/></D:resourcetype>
<D:getetag>abc</D:getetag></D:prop><D:status>HTTP/1.1 200 OK</D:status></D:propstat>
<D:propstat><D:prop><D:getcontentlength/></D:prop><D:status>HTTP/1.1 404 Not Found</D:status></D:propstat></D:response>
<D:response><D:href>http://host/results/ada/a%20b%23.txt</D:href><D:propstat><D:prop><D:resourcetype/>
<D:getcontentlength>12</D:getcontentlength><D:getlastmodified>Tue, 24 Nov 2026 15:47:50 GMT</D:getlastmodified>
<D:getetag>"7-1795535270-12"</D:getetag></D:prop><D:status>HTTP/1.1 200 OK</D:status></D:propstat></D:response>
<D:response><D:href>/results/ada/denied</D:href><D:status>HTTP/1.1 403 Forbidden</D:status></D:response>
</D:multistatus>"""


def test_reads_kinds_sizes_times_and_tags():
    folder, file, _ = parse(ANSWER)
    assert (folder.path, folder.folder, folder.etag) == ("/results/ada", True, '"abc"')
    assert (file.path, file.folder, file.size, file.modified) == ("/results/ada/a b#.txt", False, 12, 1795535270.0)


def test_what_the_server_says_nothing_of_is_told_with_its_status():
    denied = parse(ANSWER)[2]
    assert (denied.path, denied.status, denied.size) == ("/results/ada/denied", 403, None)
    parts = b"<D:propstat><D:prop><D:getetag/></D:prop><D:status>HTTP/1.1 %d No</D:status></D:propstat>"
    for told, meant in ((507, 507), (404, 500)):
        text = b'<D:multistatus xmlns:D="DAV:"><D:response><D:href>/a</D:href>%b</D:response></D:multistatus>'
        assert [one.status for one in parse(text % (parts % told))] == [meant]


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"<html>",
        b"<html/>",
        b'<!DOCTYPE x [<!ENTITY a "b">]><D:multistatus xmlns:D="DAV:">&a;</D:multistatus>',
        b'<!DOCTYPE x SYSTEM "file:///etc/passwd"><D:multistatus xmlns:D="DAV:"/>',
    ],
)
def test_what_is_not_a_plain_answer_is_refused(text):
    with pytest.raises(NotAnAnswer):
        parse(text)


@pytest.mark.parametrize(
    ("etag", "weak"),
    [("", True), ('W/"1"', True), ('"9-1795535270-12"', True), ('"6b05b1a6-c"', True), ('"d41d8cd98f"', False)],
)
def test_a_tag_made_of_a_time_in_seconds_is_weak(etag, weak):
    assert is_weak(etag, 1795535270.0) is weak


def test_a_weak_tag_is_unsettled_while_the_file_is_young():
    young = token_of('"9-1795535270-12"', 1795535270.0, 12, 1795535271.0)
    assert is_unsettled(young)
    assert bare(young) == '"9-1795535270-12"'
    assert not is_unsettled(token_of('"9-1795535270-12"', 1795535270.0, 12, 1795535273.0))
    assert not is_unsettled(token_of('"strong"', 1795535270.0, 12, 1795535270.0))


def test_a_mark_is_no_part_of_the_version_and_a_tilde_in_a_tag_is_no_mark():
    assert same_version(unsettled('"a~b"', 1.0), unsettled('"a~b"', 2.0))
    assert bare('"a~b"') == '"a~b"'
    assert not same_version('"a"', '"b"')
