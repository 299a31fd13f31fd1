"""How a kernel finds its server."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

import jupyter_alc.piezo.options  # noqa: F401  (knows a kind of BadInput that is made otherwise)
from jupyter_alc.core.errors import BadInput, Denied, Missing, NotFound, Unavailable
from jupyter_alc.magics.asking import read_answer
from jupyter_alc.magics.finding import addresses, find_server

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.unit


def test_the_hubs_address_is_tried_as_given_and_then_on_loopback(tmp_path: Path) -> None:
    hub = {
        "JUPYTERHUB_SERVICE_URL": "http://10.210.0.6:8888/user/ada/",
        "JUPYTERHUB_API_TOKEN": "t",
        "HOME": str(tmp_path),
    }
    found = find_server(hub, tmp_path)
    assert found.urls == ("http://10.210.0.6:8888/user/ada", "http://127.0.0.1:8888/user/ada")
    assert found.base_path == "/user/ada"
    assert "'t'" not in repr(found)


@pytest.mark.parametrize("host", ["0.0.0.0", "[::]", ""])
def test_an_address_that_means_all_is_tried_on_loopback(host: str) -> None:
    assert addresses(f"http://{host}:9/x/") == ("http://127.0.0.1:9/x",)


def test_what_is_said_by_hand_comes_first(tmp_path: Path) -> None:
    both = {
        "ALC_SERVER_URL": "http://127.0.0.1:1/",
        "ALC_SERVER_TOKEN": "a",
        "JUPYTERHUB_SERVICE_URL": "http://127.0.0.1:2/",
    }
    assert find_server({**both, "JUPYTERHUB_API_TOKEN": "b"}, tmp_path).token == "a"


def test_a_plain_servers_file_is_found_by_the_kernels_parent(tmp_path: Path) -> None:
    (tmp_path / "jpserver-77.json").write_text(json.dumps({"url": "http://localhost:8888/a/", "token": "t"}))
    found = find_server({"JUPYTER_RUNTIME_DIR": str(tmp_path), "JPY_PARENT_PID": "77"}, tmp_path)
    assert found.urls[0] == "http://localhost:8888/a"


def test_a_terminal_finds_its_server_among_its_parents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parent = 4321
    monkeypatch.setattr(os, "getppid", lambda: parent)  # ours may be the first process
    (tmp_path / str(parent)).mkdir()
    (tmp_path / str(parent) / "stat").write_text(f"{parent} (a (sh) ) S 4242 1 1")
    (tmp_path / "jpserver-4242.json").write_text(json.dumps({"url": "http://localhost:8888/", "token": "t"}))
    assert find_server({"JUPYTER_RUNTIME_DIR": str(tmp_path)}, tmp_path).token == "t"


@pytest.mark.parametrize("content", ["", "{", "[]", '{"url": "http://localhost:8888/", "token": ""}'])
def test_without_a_server_the_error_says_what_to_do(tmp_path: Path, content: str) -> None:
    (tmp_path / "jpserver-77.json").write_text(content)
    with pytest.raises(Missing) as told:
        find_server({"JUPYTER_RUNTIME_DIR": str(tmp_path), "JPY_PARENT_PID": "77"}, tmp_path)
    assert "ALC_SERVER_URL" in told.value.next_step


def test_errors_of_ours_come_back_and_those_of_others_get_our_words() -> None:
    assert read_answer(200, b'{"a": 1}') == {"a": 1}
    with pytest.raises(NotFound, match="no such"):
        read_answer(404, b'{"code": "not_found", "message": "no such cluster"}')
    with pytest.raises(Missing, match="without the jupyter-alc extension"):
        read_answer(404, b"<html>")
    with pytest.raises(BadInput, match="Two things") as told:
        read_answer(422, b'{"code": "bad_input", "message": "Two things are wrong.", "problems": [], "field": ""}')
    assert type(told.value) is BadInput
    with pytest.raises(Denied):
        read_answer(403, b'{"message": "Forbidden"}')
    with pytest.raises(Unavailable):
        read_answer(502, b"")
