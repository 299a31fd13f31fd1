"""The Spark UI of one's own cluster, through one's own server."""

from __future__ import annotations

import urllib.parse
from typing import Any

import pytest

pytestmark = pytest.mark.integration


@pytest.fixture
def ui(server: Any) -> Any:
    made = server.alc("POST", "piezo/clusters", {"name": "with-ui"}).json["id"]
    yield f"piezo/clusters/{made}/ui"
    server.alc("DELETE", f"piezo/clusters/{made}")


def path_of(server: Any) -> str:
    return urllib.parse.urlsplit(server.url).path


def test_links_of_a_page_stay_below_the_users_own_server(server: Any, ui: str) -> None:
    page = server.alc("GET", f"{ui}/jobs/")
    assert page.status == 200
    assert f"href='{path_of(server)}jupyter-alc/v1/{ui}/stages/'" in page.body.decode()
    assert page.headers["Content-Type"].startswith("text/html")
    assert "frame-ancestors 'self'" in page.headers["Content-Security-Policy"]
    assert "default-src 'none'" not in page.headers["Content-Security-Policy"]


@pytest.mark.parametrize("end", ["", "/"])
def test_the_front_page_leads_to_the_jobs(server: Any, ui: str, end: str) -> None:
    answer = server.alc("GET", ui + end)
    assert answer.status == 302
    assert answer.headers["Location"] == f"{path_of(server)}jupyter-alc/v1/{ui}/jobs/"


def test_nothing_that_says_who_asks_reaches_the_ui_and_no_cookie_comes_back(
    server: Any, ui: str, spark_ui: Any
) -> None:
    spark_ui.asked.clear()
    mine = {
        "Cookie": "_xsrf=1; username-x=2",
        "X-Forwarded-Context": "/evil",
        "X-XSRFToken": "1",
        "Accept": "text/html",
    }
    answer = server.alc("GET", f"{ui}/jobs/?id=1&_xsrf=secret&token={server.token}", headers=mine)
    (verb, path, headers) = spark_ui.asked[-1]
    assert (verb, path) == ("GET", "/jobs/?id=1")
    assert not {"cookie", "authorization", "x-xsrftoken"} & {name.lower() for name in headers}
    assert headers["X-Forwarded-Context"] == f"{path_of(server)}jupyter-alc/v1/{ui}"
    assert "spark=1" not in str(answer.headers)


def test_a_redirect_of_the_ui_is_led_below_the_prefix(server: Any, ui: str) -> None:
    answer = server.alc("GET", f"{ui}/moved")
    assert answer.status == 302
    assert answer.headers["Location"] == f"{path_of(server)}jupyter-alc/v1/{ui}/jobs/?a=1"


@pytest.mark.parametrize("page", ["away", "broken"])
def test_what_the_ui_says_in_trouble_is_not_passed_on(server: Any, ui: str, page: str) -> None:
    answer = server.alc("GET", f"{ui}/{page}")
    assert (answer.status, answer.json["code"]) == (503, "unavailable")
    assert b"NullPointer" not in answer.body


def test_a_long_answer_comes_whole(server: Any, ui: str) -> None:
    assert len(server.alc("GET", f"{ui}/long").body) == 2_000_000


def test_an_answer_that_was_cut_does_not_look_whole(server: Any, ui: str) -> None:
    import http.client

    with pytest.raises((http.client.IncompleteRead, OSError, http.client.HTTPException)):
        server.alc("GET", f"{ui}/cut")


@pytest.mark.parametrize("verb", ["POST", "PUT", "DELETE", "PATCH"])
def test_the_ui_is_read_only(server: Any, ui: str, spark_ui: Any, verb: str) -> None:
    spark_ui.asked.clear()
    assert server.alc(verb, f"{ui}/jobs/job/kill/?id=0", b"" if verb != "DELETE" else None).status == 405
    assert not spark_ui.asked


def test_kill_links_are_not_followed(server: Any, ui: str, spark_ui: Any) -> None:
    spark_ui.asked.clear()
    answer = server.alc("GET", f"{ui}/jobs/job/kill/?id=0")
    assert answer.status == 403
    assert not spark_ui.asked


def test_head_asks_head(server: Any, ui: str, spark_ui: Any) -> None:
    spark_ui.asked.clear()
    answer = server.alc("HEAD", f"{ui}/jobs/")
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("text/html")
    assert spark_ui.asked[-1][0] == "HEAD"


def test_the_first_script_of_a_page_sends_the_token_that_the_hub_wants(server: Any, ui: str) -> None:
    script = server.alc("GET", f"{ui}/static/jquery.min.js").body.decode()
    assert script.startswith("var jQuery;")
    assert "X-XSRFToken" in script


def test_an_unknown_cluster_has_no_ui(server: Any) -> None:
    for page in ("", "/", "/jobs/"):
        assert server.alc("GET", f"piezo/clusters/none/ui{page}").status == 404


def test_scripts_that_trip_over_a_users_name_are_made_to_look_elsewhere(server: Any, ui: str) -> None:
    script = server.alc("GET", f"{ui}/static/utils.js")
    assert script.body == b'words.indexOf("/")'
    assert script.headers["Content-Type"].startswith("text/javascript")
