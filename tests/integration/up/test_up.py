"""`alc up` for real: it starts, protects, comes back, refuses with a reason, and leaves nothing."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
import urllib.request
from http.cookiejar import CookieJar
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import pytest

from jupyter_alc.cli.instance.ports import inner_ports, public_port, wait_until_free
from jupyter_alc.core.errors import Conflict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

CHECKOUT = Path(__file__).resolve().parents[3]
PATIENCE = 120.0
TYPES = """
- id: tiny
  title: Tiny
  cores: 1
  memory_bytes: 1 GB
  environment: python
  min_ready: 1
  max_total: 2
"""


def until(seen: Callable[[], object], what: str) -> None:
    late = time.monotonic() + PATIENCE
    while not seen():
        assert time.monotonic() < late, what
        time.sleep(0.2)


class Up:
    """One `alc up` and what it says."""

    def __init__(self, folder: Path, *words: str) -> None:
        self.state = folder / "state"
        self.log = folder / f"up-{time.monotonic_ns()}.log"
        command = [sys.executable, "-m", "jupyter_alc.cli", "up", "--state", str(self.state), *words]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, cwd=CHECKOUT, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def said(self) -> str:
        return self.log.read_text()

    def wait_up(self) -> Up:
        until(lambda: "is up: " in self.said() or self.process.poll() is not None, self.said())
        assert self.process.poll() is None, self.said()
        return self

    @property
    def address(self) -> str:
        return re.findall(r"is up: (\S+)", self.said())[-1]

    @property
    def noted(self) -> dict:
        return json.loads((self.state / "up.json").read_text())

    def ours(self) -> list[tuple[int, bytes]]:
        """Every process that this one started, however deep, by its id and its words."""
        parents: dict[int, list[int]] = {}
        words: dict[int, bytes] = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
                    words[int(entry.name)] = (entry / "cmdline").read_bytes()
                except OSError:
                    continue
                parents.setdefault(parent, []).append(int(entry.name))
        found, look = [], [self.process.pid]
        while look:
            pid = look.pop()
            found.append((pid, words.get(pid, b"")))
            look += parents.get(pid, [])
        return found

    def stop(self) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE)


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def open_page(
    url: str, opener: urllib.request.OpenerDirector | None = None, form: dict | None = None
) -> tuple[int, str]:
    opener = opener or urllib.request.build_opener(urllib.request.ProxyHandler({}))
    data = urlencode(form).encode() if form else None
    try:
        with opener.open(url, data=data, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def log_in(address: str, name: str, password: str) -> tuple[urllib.request.OpenerDirector, str]:
    jar = CookieJar()
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor(jar))
    open_page(f"{address}/hub/login", opener)
    xsrf = next(cookie.value for cookie in jar if cookie.name == "_xsrf")
    _, page = open_page(f"{address}/hub/login", opener, {"username": name, "password": password, "_xsrf": xsrf or ""})
    return opener, page


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("up")


@pytest.fixture(scope="module")
def up(folder: Path) -> Iterator[Up]:
    (folder / "types.yaml").write_text(TYPES)
    one = Up(
        folder, "--machine-types", str(folder / "types.yaml"), "--logins", str(folder / "logins"), "--port", "8700"
    )
    try:
        yield one.wait_up()
    finally:
        one.stop()


@pytest.fixture(scope="module")
def logins(up: Up, folder: Path) -> dict[str, str]:
    assert stat.S_IMODE((folder / "logins").stat().st_mode) == 0o600
    return json.loads((folder / "logins").read_text())


def test_a_person_logs_in_and_sees_data_and_machines(up, logins):
    opener, page = log_in(up.address, "ada", logins["ada"])
    assert 'id="logout"' in page
    _, form = open_page(f"{up.address}/hub/spawn", opener)
    for words in ("SANS examples", "My results", "37 MB", "Tiny", "WebDAV archive"):
        assert words in form
    assert 'id="logout"' not in log_in(up.address, "brahe", logins["ada"])[1]


def test_passwords_are_told_once_and_kept_nowhere(up, logins):
    assert not (up.state / "service/hub/logins-once.json").exists()
    for password in logins.values():
        assert password not in up.said()
        for log in (up.state / "log").iterdir():
            assert password not in log.read_text()


def test_no_secret_stands_in_arguments(up, logins):
    secrets = [*logins.values(), (up.state / "service/vmm/hub-secret").read_text().strip()]
    secrets += json.loads((up.state / "archive/accounts.json").read_text()).values()
    for pid, words in up.ours():
        assert not [secret for secret in secrets if secret.encode() in words], pid


def test_state_is_closed_to_others(up):
    assert stat.S_IMODE(up.state.stat().st_mode) == 0o700
    for part in ("service", "archive", "log"):
        assert stat.S_IMODE((up.state / part).stat().st_mode) == 0o700
        for path in (up.state / part).rglob("*"):
            assert path.is_symlink() or not path.stat().st_mode & 0o077, path


@pytest.mark.root
def test_hub_proxy_vmm_and_archive_are_nobodys_root(up):
    for pid, words in up.ours():
        named = [b"jupyterhub_config", b"configurable-http-proxy", b"vmm.service", b"example.archive"]
        if any(one in words for one in named) and not words.startswith(b"bwrap"):
            assert Path(f"/proc/{pid}").stat().st_uid in {52000, 52001}, words


@pytest.mark.root
def test_the_archive_asks_for_its_own_password_on_the_service_address_only(up):
    told = up.noted
    port = told["ports"]["ARCHIVE_PORT"]
    assert open_page(f"http://{told['service_address']}:{port}/sans-examples/")[0] == 401
    with pytest.raises(urllib.error.URLError):
        open_page(f"http://127.0.0.1:{port}/")


def test_a_second_start_on_the_same_state_is_refused_with_the_first_ones_address(up, folder):
    other = folder / "second"
    other.mkdir()
    second = Up(other, "--state", str(up.state))
    assert second.process.wait(PATIENCE) == 1
    assert f"already up on this state, at {up.address}" in second.said()
    assert open_page(f"{up.address}/hub/health")[0] == 200


def test_a_catalogue_with_a_mistake_is_told_with_its_line_before_anything_starts(tmp_path):
    wrong = tmp_path / "catalogue.yaml"
    wrong.write_text("datasets:\n  - id: one\n    title: One\n    colour: red\n")
    one = Up(tmp_path, "--catalogue", str(wrong))
    assert one.process.wait(PATIENCE) == 1
    assert f"{wrong}, line 4" in one.said()
    assert not one.state.exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--port", "0"], "--port 0 cannot be used. Give a port from 1024 to 65535."),
        (["--send-seconds", "0"], "--send-seconds 0 cannot be used. Give up to 3600 seconds."),
        (["--port", "80"], "--port 80 cannot be used."),
        (["--port", "70000"], "--port 70000 cannot be used."),
        (["--people", "ada", "a/b"], "'a/b' cannot be the name of an account. Use small letters"),
        (["--people", "Ada"], "'Ada' cannot be the name of an account."),
        (["--machine-types", "{wrong}"], "line 1: no list of machine types."),
        (["--credentials", "{wrong}"], "line 1: "),
        (["--catalogue", "\x1b[31m{wrong}"], "\\x1b[31m"),
        (["--people", "\x1b[31m"], "'\\x1b[31m' cannot be the name"),
        (["--catalogue", "{wrong}/none.yaml"], "none.yaml: the file cannot be read"),
        (["--catalogue", "{keyless}"], "the dataset one names credentials 'vault', which are not given. Write them"),
    ],
)
def test_what_cannot_be_is_told_in_one_line_before_anything_starts(tmp_path, words, told):
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("x: y\n")
    wrong.chmod(0o600)
    keyless = tmp_path / "keyless.yaml"
    keyless.write_text("datasets: [{id: one, title: One, adapter: webdav, url: 'http://a/b', credentials: vault}]")
    one = Up(tmp_path, *(word.format(wrong=wrong, keyless=keyless) for word in words))
    assert one.process.wait(PATIENCE) == 1
    lines = [line for line in one.said().splitlines() if not line.startswith("MISSING  /dev/fuse")]
    assert len(lines) == 1, one.said()
    assert told in lines[0]
    assert not (one.state / "machines").exists()


def test_a_hub_that_cannot_start_is_told_in_one_line_and_its_trace_stays_in_the_log(tmp_path):
    (tmp_path / "state/service/hub").mkdir(parents=True)
    (tmp_path / "state/service/hub/hub.sqlite").write_text("not a database " * 100)
    if os.geteuid() == 0:
        for one in ("", "hub", "hub/hub.sqlite"):
            os.chown(tmp_path / "state/service" / one, 52000, 52000)
    up = Up(tmp_path, "--no-example")
    assert up.process.wait(PATIENCE) == 1
    said = up.said().splitlines()
    assert said[-1] == f"The Hub did not start. Look at {up.state}/log/hub.log."
    assert "Traceback" in (up.state / "log/hub.log").read_text()
    assert "Traceback" not in up.said()
    assert not list((up.state / "machines").glob("*"))


def test_one_that_is_told_to_end_while_it_starts_ends_at_once(tmp_path):
    up = Up(tmp_path, "--no-example", "--logins", str(tmp_path / "logins"))
    until(lambda: (up.state / "log/hub.log").exists() or up.process.poll() is not None, up.said())
    up.process.send_signal(signal.SIGINT)
    assert up.process.wait(60) == 0, up.said()
    assert "is up" not in up.said()
    assert not list((up.state / "machines").glob("*"))
    again = Up(tmp_path, "--no-example", "--logins", str(tmp_path / "logins"))
    try:
        again.wait_up()
        assert set(json.loads((tmp_path / "logins").read_text())) == {"ada", "brahe"}, "passwords are not lost by that"
    finally:
        assert again.stop() == 0


def test_a_folder_too_long_for_sockets_is_told_and_not_left(tmp_path, monkeypatch):
    run = tmp_path / ("r" * 100)
    monkeypatch.setenv("ALC_RUN", str(run))
    up = Up(tmp_path, "--port", "8900", "--no-example")
    assert up.process.wait(PATIENCE) == 1
    assert "Set ALC_RUN to a shorter folder." in up.said()
    assert not run.exists()


def test_a_taken_port_is_passed_over(up, tmp_path):
    (tmp_path / "types.yaml").write_text(TYPES.replace("min_ready: 1", "min_ready: 0"))
    taken = up.noted["port"]
    one = Up(tmp_path, "--port", str(taken), "--machine-types", str(tmp_path / "types.yaml"), "--no-example")
    try:
        assert one.wait_up().address != up.address
        assert int(one.address.rsplit(":", 1)[1]) > taken
        assert f"Port {taken} is taken by another program: this time it is " in one.said()
    finally:
        assert one.stop() == 0


def test_a_port_that_stays_taken_is_named_and_one_that_becomes_free_is_waited_for():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(Conflict, match=f"Port {port} is taken by another program") as told:
            wait_until_free([port], seconds=0.2)
        assert str(port) in told.value.next_step
        threading.Timer(0.3, other.close).start()
        wait_until_free([port], seconds=30)


def test_two_that_start_at_once_do_not_both_take_a_port():
    port, hold = public_port(8790)
    other, second = public_port(8790)
    with hold, second:
        assert other > port
    again, third = public_port(8790)
    with third:
        assert again == port, "an instance that ended gives it back"


@pytest.mark.parametrize("port", [0, -1, 80, 65536, 10**30, 1e308, "x", None, [1]])
def test_a_remembered_port_that_cannot_be_is_replaced(tmp_path, port):
    memory = tmp_path / "ports.json"
    memory.write_text(json.dumps({"HUB_PORT": port}))
    found = inner_ports(memory)
    assert len(set(found.values())) == 4
    assert all(1024 <= one <= 65535 for one in found.values())


def test_a_remembered_port_that_somebody_took_is_replaced_and_the_others_stay(tmp_path):
    first = inner_ports(tmp_path / "ports.json")
    with socket.socket() as other:
        other.bind(("127.0.0.1", first["VMM_PORT"]))
        other.listen()
        again = inner_ports(tmp_path / "ports.json")
    assert [name for name in first if first[name] != again[name]] == ["VMM_PORT"]


@pytest.mark.fuse
def test_a_person_gets_a_machine_with_her_data_and_a_killed_hub_does_not_take_it_away(up, logins):
    opener, _ = log_in(up.address, "ada", logins["ada"])
    jar = next(one.cookiejar for one in opener.handlers if isinstance(one, urllib.request.HTTPCookieProcessor))
    xsrf = next(cookie.value for cookie in jar if cookie.name == "_xsrf")
    open_page(f"{up.address}/hub/spawn", opener)
    choice = {"machine_type": "tiny", "datasets": "sans-examples"}
    status, page = open_page(f"{up.address}/hub/spawn?{urlencode({'_xsrf': xsrf})}", opener, choice)
    assert status == 200, page
    until(lambda: "jupyter-config-data" in open_page(f"{up.address}/user/ada/lab", opener)[1], "Lab did not come")
    _, listing = open_page(f"{up.address}/user/ada/api/contents/data/sans-examples", opener)
    assert "1d_data" in listing
    kill_hub(up)
    until(lambda: "jupyter-config-data" in open_page(f"{up.address}/user/ada/lab", opener)[1], "Lab did not come back")


def kill_hub(up: Up) -> None:
    before = up.said().count("the Hub is back")
    hub = [pid for pid, words in up.ours() if b"jupyterhub_config" in words and not words.startswith(b"bwrap")]
    os.kill(hub[-1], signal.SIGKILL)
    until(lambda: up.said().count("the Hub is back") > before, up.said())


def test_a_killed_hub_comes_back_and_passwords_stay(up, logins):
    kill_hub(up)
    assert 'id="logout"' in log_in(up.address, "brahe", logins["brahe"])[1]


def test_an_end_leaves_nothing(up):
    started = {pid for pid, _ in up.ours()} - {up.process.pid}
    run = Path(json.loads((up.state / "up.json").read_text())["run"])
    told = up.noted
    assert up.stop() == 0
    assert not [pid for pid in started if lives(pid)]
    assert not run.exists()
    assert not list((up.state / "machines").iterdir())
    if os.geteuid() == 0:
        addresses = subprocess.run(["ip", "-4", "address"], capture_output=True, text=True, check=True).stdout
        assert f" {told['service_address']}/" not in addresses
    with pytest.raises(urllib.error.URLError):
        open_page(up.address)


def test_a_second_day_keeps_accounts_and_new_logins_replace_them(up, folder, logins):
    again = Up(folder, "--machine-types", str(folder / "types.yaml"), "--port", "8700").wait_up()
    try:
        assert "Logins are those of the first start" in again.said()
        assert 'id="logout"' in log_in(again.address, "brahe", logins["brahe"])[1]
    finally:
        assert again.stop() == 0
