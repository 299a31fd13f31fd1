"""The REST of the extension on a real, plain Jupyter server."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

pytestmark = pytest.mark.integration

WALK = [
    ("GET", "health"),
    ("GET", "machine"),
    ("DELETE", "machine"),
    ("GET", "data"),
    ("GET", "data/ls?path=results"),
    ("POST", "data/refresh"),
    ("POST", "data/flush"),
    ("GET", "data/plan?path=results"),
    ("GET", "data/transfers"),
    ("POST", "data/transfers"),
    ("GET", "data/transfers/transfer-1"),
    ("DELETE", "data/transfers/transfer-1"),
    ("POST", "data/transfers/transfer-1/resume"),
    ("GET", "data/files?path=results"),
    ("GET", "data/history"),
    ("POST", "data/mounts"),
    ("DELETE", "data/mounts/results"),
    ("GET", "data/notebooks"),
    ("GET", "piezo/clusters"),
    ("POST", "piezo/clusters"),
    ("GET", "piezo/clusters/c-1"),
    ("DELETE", "piezo/clusters/c-1"),
    ("GET", "piezo/clusters/c-1/connection"),
    ("GET", "piezo/clusters/c-1/ui"),
    ("GET", "piezo/clusters/c-1/ui/"),
    ("GET", "piezo/clusters/c-1/ui/jobs/"),
    ("HEAD", "piezo/clusters/c-1/ui/jobs/"),
    ("POST", "piezo/clusters/c-1/ui/jobs/"),
    ("GET", "nothing"),
    ("PUT", "data"),
    ("PATCH", "machine"),
]


def is_told(answer: Any, code: str) -> bool:
    told = answer.json
    return told["code"] == code and bool(told["message"]) and isinstance(told["next_step"], str)


@pytest.mark.parametrize(("verb", "path"), WALK)
def test_refuses_every_address_without_a_token(server: Any, verb: str, path: str) -> None:
    answer = server.alc(verb, path, token=False, body=b"{}" if verb in {"POST", "PUT", "PATCH"} else None)
    assert answer.status == 403
    assert verb == "HEAD" or is_told(answer, "denied")


@pytest.mark.parametrize(("verb", "path"), WALK)
def test_refuses_every_address_with_another_token(server: Any, verb: str, path: str) -> None:
    answer = server.alc(verb, path, token=False, headers={"Authorization": "token someone-elses"}, body=None)
    assert answer.status == 403


def test_tells_the_machine_what_it_uses_and_its_allocation(server: Any) -> None:
    told = server.alc("GET", "machine").json
    assert told["machine"]["isolation"] == "none"
    assert told["machine"]["cores"] == 2
    assert told["allocation"]["state"] == "ready"
    assert told["used"]["memory_bytes"] > 0


def test_gives_the_machine_back(server: Any) -> None:
    answer = server.alc("DELETE", "machine")
    assert (answer.status, answer.json["allocation"]["state"]) == (202, "releasing")


def test_tells_the_data_and_lists_a_folder(server: Any) -> None:
    assert server.alc("GET", "data").json["datasets"][0]["id"] == "results"
    entries = server.alc("GET", "data/ls?path=results").json["entries"]
    assert [one["name"] for one in entries] == ["more", "run"]


def test_tells_a_folder_that_is_not_there_from_one_that_could_not_be_asked(server: Any) -> None:
    assert is_told(server.alc("GET", "data/ls?path=results/none"), "no_such_file")
    down = server.alc("GET", "data/ls?path=archive/down")
    assert (down.status, down.json["code"]) == (503, "unavailable")


@pytest.mark.parametrize(
    "body", [b"[]", b"{", b'{"deadline_seconds": true}', b'{"deadline_seconds": NaN}', b"\xff", b"[" * 60_000]
)
def test_refuses_a_body_that_makes_no_sense(server: Any, body: bytes) -> None:
    answer = server.alc("POST", "data/flush", body)
    assert (answer.status, answer.json["code"]) == (422, "bad_input")


def test_refuses_a_body_that_is_too_large(server: Any) -> None:
    answer = server.alc("POST", "data/flush", b" " * 70_000 + b"{}")
    assert is_told(answer, "too_large")
    assert answer.status == 413


def test_names_the_field_that_is_not_known(server: Any) -> None:
    assert server.alc("POST", "data/flush", {"deadline": 1}).json["field"] == "deadline"


def test_answers_unknown_addresses_and_verbs_in_json(server: Any) -> None:
    assert is_told(server.alc("GET", "nothing/here"), "not_found")
    assert is_told(server.alc("PUT", "data", b"{}"), "not_allowed")
    assert is_told(server.alc("GET", "piezo/clusters/no%0A"), "not_found")
    assert is_told(server.alc("GET", "piezo/clusters/..%2f..%2fetc"), "not_found")


def test_never_shows_foreign_words(server: Any) -> None:
    for path in ("nothing", "data/ls?path=%ff%fe"):
        assert "Traceback" not in server.alc("GET", path).body.decode()
        assert "tornado" not in server.alc("GET", path).body.decode()


def test_a_cluster_is_asked_for_watched_and_ended(server: Any) -> None:
    asked = server.alc("POST", "piezo/clusters", {"workers": 1, "name": "mine"})
    assert asked.status == 202
    path = f"piezo/clusters/{asked.json['id']}"
    assert asked.headers["Location"].endswith(path)
    states = [server.alc("GET", path).json["state"] for _ in range(3)]
    assert states[-1] == "ready"
    assert server.alc("GET", f"{path}/connection").json["connect_url"].startswith("sc://localhost")
    assert server.alc("DELETE", path).status == 202
    assert [server.alc("GET", path).status for _ in range(3)][-1] == 404
    assert server.alc("DELETE", path).status == 404


def test_names_every_wrong_option_of_a_cluster(server: Any) -> None:
    answer = server.alc("POST", "piezo/clusters", {"workers": 3.9, "colour": "red"})
    assert answer.status == 422
    assert {"workers", "colour"} <= set(answer.json["field"].split(", "))


def test_counts_what_is_unsent_in_the_servers_metrics(server: Any) -> None:
    assert "jupyter_alc_dms_unsent_files" in server.ask("GET", "metrics").body.decode()


def test_tells_a_change_as_an_event(server: Any) -> None:
    import websocket

    url = server.url.replace("http", "ws", 1) + "api/events/subscribe"
    told = websocket.create_connection(url, header=[f"Authorization: token {server.token}"], timeout=20)
    try:
        asked = server.alc("POST", "piezo/clusters", {"name": "seen"}).json
        end, seen = time.monotonic() + 20, set()
        while time.monotonic() < end and "clusters" not in seen:
            event = json.loads(told.recv())
            assert event["schema_id"] == "https://schema.jupyter-alc.org/changed/v1"
            seen.add(event["what"])
        assert "clusters" in seen
    finally:
        told.close()
        server.alc("DELETE", f"piezo/clusters/{asked['id']}")
