"""Each disk of a real system is filled once: one clear message at every door, nothing lost, nothing left half made."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from day.system import System, Traces
from integration.system.world import Person, until
from jupyter_alc.example.archive import sans_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [
    pytest.mark.integration,
    pytest.mark.hub,
    pytest.mark.root,
    pytest.mark.fuse,
    pytest.mark.timeout(420),
]
SERVICE, ARCHIVE, ADA, HER_DMS = 52000, 52001, 53000, 53001
HUB_FULL = (
    "The disk of the Hub is full, so nothing was changed. Try again in a while; the operator has to make room there."
)
VMM_FULL = HUB_FULL.replace("the Hub", "the machine service")
VOLUME_FULL = "The disk of your data volume (/var/lib/alc-dms) is full; what was closed before is kept."
ARCHIVE_FULL = "The archive is full."
WRITE = """
import errno, os
try:
    with open({!r}, 'wb') as file:
        file.write(os.urandom(100))
    tell('taken')
except OSError as error:
    tell(errno.errorcode[error.errno])
"""


@dataclass
class House:
    """A system whose disks are small, and ada in it. `service` is the Hub's disk and everything else's."""

    folder: Path
    system: System
    ada: Person | None = None

    @property
    def home(self) -> Path:
        return self.system.state / "volumes/ada/home"

    @property
    def volume(self) -> Path:
        return self.system.state / "volumes/ada/dms"

    @property
    def vmm(self) -> Path:
        return self.system.state / "service/vmm"

    @contextlib.contextmanager
    def full(self, disk: Path) -> Iterator[None]:
        """Fill one of the small disks to its last byte."""
        others = disk / ".others"
        with others.open("wb", buffering=0) as file:
            while left := free(disk):
                with contextlib.suppress(OSError):  # somebody took some meanwhile
                    file.write(bytes(left))
        try:
            yield
        finally:
            others.unlink()

    @contextlib.contextmanager
    def full_service(self, leave: int = 0) -> Iterator[None]:
        """The large disk: it is made as small as what lies on it, but for `leave` bytes."""
        seen = os.statvfs(self.folder)
        resize(self.folder, str((seen.f_blocks - seen.f_bfree) * seen.f_frsize + leave))
        try:
            yield
        finally:
            resize(self.folder, "3g")


def free(disk: Path) -> int:
    seen = os.statvfs(disk)
    return seen.f_bavail * seen.f_frsize


def resize(disk: Path, size: str) -> None:
    subprocess.run(["mount", "-o", f"remount,size={size}", str(disk)], check=True)


def mount(disk: Path, size: str, uid: int = 0) -> None:
    disk.mkdir(parents=True, exist_ok=True)
    options = f"size={size},mode=700,uid={uid},gid={uid}"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(disk)], check=True)


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    folder = Path(tempfile.mkdtemp(prefix="alck-", dir="/tmp"))
    mount(folder, "3g")  # what `alc up` wants to see free; nothing of it is taken
    folder.chmod(0o755)
    house = House(folder, System(folder / "s", port=8930))
    house.system.state.mkdir(mode=0o700)
    traces = Traces(house.system.state)
    disks = (house.volume, house.home, house.vmm, house.system.results_root)
    for disk, size, uid in zip(disks, ("8m", "24m", "4m", "6m"), (HER_DMS, ADA, SERVICE, ARCHIVE), strict=True):
        mount(disk, size, uid)
    for parent in (house.vmm.parent, house.system.results_root.parent):
        parent.chmod(0o700)
    try:
        house.system.start()
        traces.follow()
        house.ada = Person(house.system, "ada")
        house.ada.log_in()
        yield house
    finally:
        house.system.stop()
        for disk in disks:
            subprocess.run(["umount", "-l", str(disk)], check=True)
        left = traces.left(house.system.service_address) if house.system.facts else {}
        subprocess.run(["umount", "-l", str(folder)], check=True)
        shutil.rmtree(folder)
    assert left == {}


@pytest.fixture
def ada(house: House) -> Person:
    """Ada with a server and a kernel."""
    ada = house.ada
    assert ada is not None
    if ada.has_no_server():
        ada.begin()
    return ada


def choose(ada: Person) -> dict[str, Any]:
    return {"machine_type": "small", "datasets": ["sans-examples", "results"]}


def shown(ada: Person, line: str) -> str:
    """What a magic shows."""
    name, _, words = line.removeprefix("%").partition(" ")
    code = "%load_ext jupyter_alc\nprint(get_ipython().run_line_magic({!r}, {!r}))"
    return ada.run(code.format(name, words))


def terminal(ada: Person, *words: str) -> tuple[int, str]:
    """Exit code and words of a command in her terminal."""
    code = f"import subprocess\ndone = subprocess.run({list(words)!r}, capture_output=True, text=True)\n"
    found = ada.tells(f"{code}tell([done.returncode, done.stdout + done.stderr])")
    return int(found[0]), str(found[1])


def everywhere(ada: Person, sentence: str) -> None:
    """REST, magic and terminal tell the same sentence with the same next step."""
    told = ada.mine("GET", "jupyter-alc/v1/data").json()
    problem = next(one for one in told["datasets"] if one["id"] == "results")["problem"]
    assert (problem["code"], problem["message"]) == ("no_space", sentence)
    assert problem["next_step"]
    for words in (shown(ada, "%dms status"), terminal(ada, "alc", "dms", "status")[1]):
        assert f"{sentence} {problem['next_step']}" in words


def test_alc_up_begins_nothing_where_there_is_little_room(tmp_path):
    mount(tmp_path, "4m")
    try:
        words = [sys.executable, "-P", "-m", "jupyter_alc.cli", "up", "--state", str(tmp_path)]
        done = subprocess.run(words, cwd="/", capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 1
        assert f"free below {tmp_path}. Make at least 2 GB free, or choose another --state." in done.stdout
        assert list(tmp_path.iterdir()) == []
    finally:
        subprocess.run(["umount", "-l", str(tmp_path)], check=True)


def test_a_hub_without_room_says_so_in_the_form_and_in_rest_and_starts_nothing(house):
    ada = house.ada
    with house.full_service():
        answer = ada.hub("POST", "users/ada/server", choose(ada))
        assert (answer.status_code, answer.json()["message"]) == (507, HUB_FULL)
        form = {"machine_type": "small", "dataset": ["results"], "_xsrf": ada._xsrf()}
        page = ada.session.post(f"{house.system.address}/hub/spawn", data=form, allow_redirects=False, timeout=60)
        assert page.status_code == 507
        assert HUB_FULL in page.text
        assert ada.has_no_server()
    assert house.system.allocations("ada") == []


def test_the_operator_is_told_before_the_last_byte_is_gone(house):
    log = house.folder / "s.log"
    with house.full_service(leave=50_000_000):
        until(lambda: f"The disk of {house.system.state} is nearly full (" in log.read_text(), "nobody is told")


def test_a_machine_service_without_room_is_told_on_the_progress_page(house):
    ada = house.ada
    with house.full(house.vmm):
        answer = ada.hub("POST", "users/ada/server", choose(ada))
        if answer.status_code == 202:
            way = f"{house.system.address}/hub/api/users/ada/server/progress"
            told = ada.session.get(way, timeout=60).text
        else:
            told = answer.text
        assert VMM_FULL in told
        until(ada.has_no_server, "the start goes on")
    assert house.system.allocations("ada") == []


def test_she_gets_in_though_her_home_is_full_is_told_what_fails_and_makes_room(house):
    ada = house.ada
    ada.begin()
    assert ada.hub("DELETE", "users/ada/server").status_code in {202, 204}
    with house.full(house.home):
        ada.begin()
        assert ada.tells("tell(1 + 1)") == 2
        with pytest.raises(AssertionError, match=r"no room for a cluster's files in /home/ada/\.local"):
            ada.run("%load_ext jupyter_alc\n%piezo start")
        assert ada.mine("GET", "jupyter-alc/v1/piezo/clusters").json()["clusters"] == []
        answer = ada.mine("POST", "jupyter-alc/v1/piezo/clusters", {})
        assert (answer.status_code, answer.json()["code"]) == (507, "no_space")
        assert answer.json()["next_step"].startswith("Delete files you do not need there")
        code, words = terminal(ada, "alc", "piezo", "start")
        assert code == 1
        assert answer.json()["message"] in words
    assert ada.tells("import pathlib; tell(pathlib.Path('made').write_text('room again'))") == 10


def test_what_finds_no_room_when_it_is_saved_is_as_it_was_and_kernels_start(house, ada):
    old = {"type": "file", "format": "text", "content": "as it was"}
    assert ada.mine("PUT", "api/contents/kept.txt", old).status_code == 201
    with house.full(house.home):
        answer = ada.mine("PUT", "api/contents/kept.txt", {**old, "content": "new" * 100_000})
        assert answer.status_code == 500
        assert ada.mine("GET", "api/contents/kept.txt?content=1").json()["content"] == "as it was"
        ada.new_kernel()


def test_results_on_a_full_data_volume(house, ada):
    before = ada.write("before.bin")
    with house.full(house.volume):
        assert ada.tells(WRITE.format("data/results/late.bin")) == "ENOSPC"
        everywhere(ada, VOLUME_FULL)
        example = "1d_data/apoferritin.txt"
        read = f"import pathlib\ntell(pathlib.Path('data/sans-examples/{example}').read_text())"
        assert ada.tells(read) == (sans_folder() / example).read_text(), "reading goes on, uncached"
        assert "Everything is at the archive." in shown(ada, "%dms flush")
        assert sent(house, "before.bin") == before
        assert ada.tells("import os; tell(os.listdir('data/results'))") == ["before.bin"]
    ada.write("after.bin")
    assert terminal(ada, "alc", "dms", "flush")[0] == 0
    assert ada.mine("GET", "jupyter-alc/v1/data").json()["datasets"][1]["problem"] is None


def test_results_for_a_full_archive_wait_and_are_sent_when_there_is_room(house, ada):
    ada.tells("import os; tell(os.listdir('data/results'))")
    with house.full(house.system.results_root):
        kept = ada.write("kept.bin")
        until(lambda: ada.mine("GET", "jupyter-alc/v1/data").json()["unsent"][0]["problem"], "no reason is told")
        everywhere(ada, ARCHIVE_FULL)
        told = ada.mine("POST", "jupyter-alc/v1/data/flush", {"deadline_seconds": 1}).json()["unsent"]
        assert [(one["path"], one["problem"]["message"]) for one in told] == [("results/kept.bin", ARCHIVE_FULL)]
        assert ARCHIVE_FULL in shown(ada, "%dms flush --deadline 1")
        code, words = terminal(ada, "alc", "dms", "flush", "--deadline", "1")
        assert code == 3
        assert ARCHIVE_FULL in words
    assert terminal(ada, "alc", "dms", "flush")[0] == 0
    assert sent(house, "kept.bin") == kept


def sent(house: House, name: str) -> str:
    """The checksum of a result in the archive."""
    return hashlib.sha256((house.system.results_root / "ada" / name).read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("changed", "code", "words"),
    [
        ({}, "denied", "The data volume /var/lib/alc-dms cannot be written: Permission denied."),
        ({"volume": "/home/ada/volume"}, "conflict", "Something answers at /run/alc/dms/dms.sock already."),
    ],
    ids=["on the same volume", "on the same socket"],
)
def test_a_second_data_service_by_hand_is_refused_and_hers_goes_on(house, ada, changed, code, words):
    order = {
        "user": "ada", "socket": "/run/alc/dms/dms.sock", "volume": "/var/lib/alc-dms", "admit_uids": [ADA],
        "files_uid": ADA, "files_gid": ADA, "datasets": [], **changed,
    }  # fmt: skip
    start = f"subprocess.run([sys.executable, '-m', 'jupyter_alc.dms.daemon'], input={json.dumps(order)!r}, **more)"
    made = "import subprocess, sys\nmore = {'capture_output': True, 'text': True, 'timeout': 60}\n"
    exit_code, said = ada.tells(f"{made}done = {start}\ntell([done.returncode, done.stdout])")
    problem = json.loads(said)["problem"]
    assert (exit_code, problem["code"], problem["message"]) == (1, code, words)
    assert problem["next_step"]
    assert ada.mine("GET", "jupyter-alc/v1/data").json()["daemon"]["mounted"]
