"""The example archive over real HTTP: who may do what, what it logs, and how it ends."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import aiohttp
import pytest

from jupyter_alc.core.dataset import Access, MountedDataset
from jupyter_alc.core.errors import BadFile, Denied
from jupyter_alc.example.archive import Archive, make_server, read_accounts
from jupyter_alc.testing.archive_service import ArchiveService
from jupyter_alc.testing.engines import put, running_engine

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    service = ArchiveService(tmp_path_factory.mktemp("archive"))
    service.start()
    yield service
    service.stop()


@pytest.fixture
async def ask(archive):
    async with aiohttp.ClientSession() as session:

        async def ask(verb, path, user="ada", **more):
            secret = archive.dataset(user).credentials if user else None
            login = aiohttp.encode_basic_auth(secret["username"], secret["password"]) if secret else None
            headers = {**({"Authorization": login} if login else {}), **more.pop("headers", {})}
            async with session.request(
                verb, f"http://127.0.0.1:{archive.port}{path}", headers=headers, **more
            ) as answer:
                return answer.status, await answer.read(), answer.headers

        yield ask


@pytest.mark.parametrize("path", ["/", "/sans-examples/", "/sans-examples/README.txt", "/results/", "/results/ada/"])
@pytest.mark.parametrize("verb", ["GET", "HEAD", "OPTIONS", "PROPFIND"])
async def test_without_credentials_there_is_nothing_but_401(ask, verb, path):
    status, body, _ = await ask(verb, path, user=None)
    assert status == 401
    assert b"csv" not in body


@pytest.mark.parametrize("verb", ["GET", "PROPFIND", "PUT", "DELETE", "MKCOL"])
async def test_ones_results_are_closed_to_the_other(ask, archive, verb):
    (archive.results("ada") / "secret").write_bytes(b"of ada")
    status, body, _ = await ask(verb, "/results/ada/secret", user="brahe")
    assert status == 401
    assert b"of ada" not in body
    assert (archive.results("ada") / "secret").read_bytes() == b"of ada"


@pytest.mark.parametrize("verb", ["PUT", "DELETE", "MKCOL", "MOVE"])
async def test_a_change_without_credentials_is_401(ask, archive, verb):
    (archive.results("ada") / "kept").write_bytes(b"kept")
    headers = {"Destination": f"http://127.0.0.1:{archive.port}/results/ada/moved"}
    status, _, _ = await ask(verb, "/results/ada/kept", user=None, headers=headers)
    assert status == 401
    assert (archive.results("ada") / "kept").read_bytes() == b"kept"


async def test_nobody_moves_a_file_into_the_others_results(ask, archive):
    (archive.results("brahe") / "mine").write_bytes(b"x")
    headers = {"Destination": f"http://127.0.0.1:{archive.port}/results/ada/mine"}
    status, _, _ = await ask("MOVE", "/results/brahe/mine", user="brahe", headers=headers)
    assert status >= 400
    assert not (archive.results("ada") / "mine").exists()


@pytest.fixture
def examples(tmp_path):
    """A server that shows a copy: what is tried on it would hurt if it were let through."""
    folder = tmp_path / "examples"
    (folder / "inner").mkdir(parents=True)
    (folder / "README.txt").write_bytes(b"read me")
    (folder / "inner" / "file").write_bytes(b"inner")
    (tmp_path / "accounts").write_text('{"ada": "engine"}')
    server = make_server("127.0.0.1", 0, Archive(tmp_path / "root", tmp_path / "accounts", tmp_path / "log", folder))
    server.prepare()
    thread = threading.Thread(target=server.serve)
    thread.start()
    yield f"http://127.0.0.1:{server.bind_addr[1]}", folder
    server.stop()
    thread.join(30)


WRITES = ["PUT", "DELETE", "MKCOL", "MOVE", "COPY", "PROPPATCH", "LOCK", "POST", "PATCH"]


@pytest.mark.parametrize("target", ["README.txt", "inner/", "new"])
@pytest.mark.parametrize("verb", WRITES)
async def test_the_server_itself_keeps_the_examples_read_only(examples, verb, target):
    url, folder = examples
    heads = {"Authorization": aiohttp.encode_basic_auth("ada", "engine")}
    heads |= {"Destination": f"{url}/sans-examples/other", "Overwrite": "T"}
    async with (
        aiohttp.ClientSession() as session,
        session.request(verb, f"{url}/sans-examples/{target}", headers=heads) as answer,
    ):
        assert answer.status >= 400
    kept = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert kept == {"README.txt": b"read me", "inner/file": b"inner"}
    assert sorted(path.name for path in folder.iterdir()) == ["README.txt", "inner"]


async def test_even_a_catalogue_that_calls_the_examples_writable_changes_nothing(examples, tmp_path):
    url, folder = examples
    words = {"username": "ada", "password": "engine"}
    wrong = MountedDataset("examples", "E", "webdav", f"{url}/sans-examples", Access.WRITE, credentials=words)
    async with running_engine(tmp_path / "volume", [wrong]) as engine:
        await put(engine, "examples/README.txt", b"mine")
        left = await engine.flush(30)
        assert [(one.path, str(one.state), one.problem["code"]) for one in left] == [
            ("examples/README.txt", "refused", "denied")
        ]
        for change in (engine.mkdir("examples/new"), engine.rename("examples/inner", "examples/outer")):
            with pytest.raises(Denied):
                await change
    assert (folder / "README.txt").read_bytes() == b"read me"


async def test_a_range_is_served_and_logged_with_its_bytes(ask, archive):
    status, body, headers = await ask("GET", "/sans-examples/2d_data/BAM_2D.h5", headers={"Range": "bytes=100-199"})
    assert (status, len(body)) == (206, 100)
    assert headers["ETag"]
    line = archive.requests()[-1]
    assert (line["user"], line["method"], line["status"], line["range"]) == ("ada", "GET", 206, "bytes=100-199")
    assert line["path"] == "/sans-examples/2d_data/BAM_2D.h5"
    assert 100 <= line["bytes_sent"] <= 600
    assert set(line) == {"time", "user", "method", "path", "status", "range", "bytes_sent", "bytes_received"}


async def test_what_is_put_is_counted_and_kept(ask, archive):
    status, _, _ = await ask("PUT", "/results/ada/put.bin", data=b"x" * 5000)
    assert status == 201
    assert (archive.results("ada") / "put.bin").stat().st_size == 5000
    assert 5000 <= archive.requests()[-1]["bytes_received"] <= 5600


async def test_a_password_is_never_in_the_log(ask, archive):
    await ask("GET", "/sans-examples/README.txt")
    assert archive.dataset("ada").credentials["password"] not in (archive.place / "requests.jsonl").read_text()


async def test_a_person_added_to_the_accounts_is_let_in_without_a_restart(archive):
    accounts = archive.place / "accounts.json"
    before = accounts.read_text()
    accounts.write_text(json.dumps({**json.loads(before), "kepler": "ellipse"}))
    login = aiohttp.encode_basic_auth("kepler", "ellipse")
    url = f"http://127.0.0.1:{archive.port}/results/kepler/"
    heads = {"Authorization": login, "Depth": "0"}
    async with aiohttp.ClientSession() as session, session.request("PROPFIND", url, headers=heads) as answer:
        assert answer.status == 207
    accounts.write_text(before)


def test_it_listens_on_the_given_address_alone(archive):
    hexed = f"{archive.port:04X}"
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    listening = {line[1] for line in lines if line[3] == "0A" and line[1].endswith(f":{hexed}")}
    assert listening == {f"0100007F:{hexed}"}


def test_a_port_that_is_taken_is_told_in_one_line(tmp_path):
    (tmp_path / "accounts").write_text('{"ada": "x"}')
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        words = ["--port", str(taken.getsockname()[1]), "--root", str(tmp_path / "r"), "--log", str(tmp_path / "l")]
        command = [
            sys.executable,
            "-m",
            "jupyter_alc.example.archive",
            "--accounts",
            str(tmp_path / "accounts"),
            *words,
        ]
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
        ended = subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=60)
    assert ended.returncode == 1
    assert "cannot be bound" in ended.stderr
    assert "--port" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_well(tmp_path, number):
    service = ArchiveService(tmp_path)
    service.start()
    process = service.process
    process.send_signal(number)
    assert process.wait(30) == 0
    service.stop()


@pytest.mark.parametrize("text", ["", "[]", '{"ada": 5}', '{"ada": ""}'])
def test_wrong_accounts_are_a_bad_file(tmp_path, text):
    (tmp_path / "accounts").write_text(text)
    with pytest.raises(BadFile) as caught:
        read_accounts(tmp_path / "accounts")
    assert str(tmp_path) in caught.value.sentence
    assert caught.value.next_step
