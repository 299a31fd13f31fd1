"""The data service as those meet it who start it and ask it: orders, locks, peers, privileges, ends."""

import asyncio
import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import aiohttp
import pytest

from jupyter_alc.core.dataset import Access, MountedDataset
from jupyter_alc.core.errors import BadInput, Conflict, Exists, FileNotThere, ReadOnly, Unavailable, VersionChanged
from jupyter_alc.dms.client import DmsClient
from jupyter_alc.testing.data_service import DataService
from jupyter_alc.testing.engines import running_engine
from stalls import Stalls

pytestmark = pytest.mark.integration

SECRET = "never-to-be-seen-anywhere"
NOBODY = 65534  # fusermount3 wants a user with a name
root = pytest.mark.root
fuse = pytest.mark.fuse


def _as(uid):
    return ["setpriv", "--reuid", str(uid), "--regid", str(uid), "--clear-groups"]


@pytest.fixture
def place():
    folder = Path(tempfile.mkdtemp(prefix="alc-t-"))
    folder.chmod(0o711)
    for name in ("raw", "results"):
        (folder / name).mkdir()
    (folder / "raw" / "file.bin").write_bytes(bytes(range(256)) * 1000)
    yield folder
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        if line.split()[4].startswith(f"{folder}/"):
            subprocess.run(["umount", "-l", line.split()[4]], check=False)
    shutil.rmtree(folder)


def datasets(place):
    return [
        MountedDataset("raw", "Raw", "local", str(place / "raw"), Access.READ, published=True),
        MountedDataset(
            "results", "Results", "local", str(place / "results"), Access.WRITE, credentials={"password": SECRET}
        ),
    ]


@pytest.fixture
def service(place):
    running = DataService(place / "dms", datasets(place))
    running.place.mkdir(mode=0o711)
    try:
        assert running.start() == {"ready": True, "mounted": False, "problem": None}
        yield running
    finally:
        running.stop()


async def pieces(*parts):
    for part in parts:
        yield part


def test_answers_by_path(service, place):
    """Info, listing, ranges, whole files, folders, moves: what `dms://` and the panel live on."""

    async def walk(client):
        assert [each["name"] for each in await client.ls("")] == ["raw", "results"]
        told = await client.info("raw/file.bin")
        assert (told["type"], told["size"], told["writable"]) == ("file", 256_000, False)
        assert await client.read("raw/file.bin", 250, 260) == bytes([250, 251, 252, 253, 254, 255, 0, 1, 2, 3])
        assert await client.read("raw/file.bin", -6) == bytes(range(250, 256))
        await client.mkdir("results/run")
        await client.put("results/run/a", pieces(b"one ", b"two"))
        assert await client.read("results/run/a") == b"one two"
        await client.move("results/run/a", "results/run/b")
        assert (await client.flush(60))["unsent"] == []
        assert (place / "results/run/b").read_bytes() == b"one two"
        await client.remove("results/run/b")
        await client.rmdir("results/run")
        assert await client.ls("results") == []

    service.ask(walk)


@pytest.mark.parametrize(
    ("question", "error"),
    [
        (lambda c: c.info("raw/none"), FileNotThere),
        (lambda c: c.info("none/file"), FileNotThere),
        (lambda c: c.info("raw/../../etc/passwd"), BadInput),
        (lambda c: c.put("raw/new", pieces(b"x")), ReadOnly),
        (lambda c: c.remove("raw/file.bin"), ReadOnly),
        (lambda c: c.mkdir("raw"), (Exists, ReadOnly)),
        (lambda c: c.read("raw/file.bin", 0, 1, token="another"), VersionChanged),
        (lambda c: c.flush(-1), BadInput),
    ],
    ids=["no file", "no dataset", "outside", "put", "remove", "mkdir", "version", "deadline"],
)
def test_a_wrong_question_gets_its_error_with_a_next_step(service, question, error):
    """Errors travel over the socket as what they were."""
    with pytest.raises(error) as raised:
        service.ask(question)
    assert raised.value.next_step


def test_an_upload_that_breaks_off_leaves_the_old_file(service):
    """A writer that dies in the middle has changed nothing."""

    async def breaks():
        yield b"half"
        raise ConnectionResetError

    async def walk(client):
        await client.put("results/kept", pieces(b"whole"))
        with pytest.raises((aiohttp.ClientError, OSError)):
            await client.put("results/kept", breaks())
        await asyncio.sleep(0.2)
        assert await client.read("results/kept") == b"whole"
        assert [each["name"] for each in await client.ls("results")] == ["kept"]

    service.ask(walk)


def test_no_secret_in_arguments_environment_or_status(service):
    """Credentials came on standard input and go to the archive alone."""
    proc = Path(f"/proc/{service.process.pid}")
    seen = proc.joinpath("cmdline").read_bytes()
    with contextlib.suppress(PermissionError):  # only root may look into the daemon's environment
        seen += proc.joinpath("environ").read_bytes()
    assert SECRET.encode() not in seen
    assert SECRET not in json.dumps(service.ask(lambda client: client.status()))


def test_a_second_daemon_on_the_volume_is_refused_by_name(service, place):
    """One clear line, an exit code of its own, and the first one is not disturbed."""
    second = DataService(place / "dms", datasets(place))
    told = second.start()
    assert not told["ready"]
    assert f"(pid {service.process.pid})" in told["problem"]["message"]
    assert told["problem"]["next_step"]
    assert second.process.wait(30) == 3
    second.stop()
    assert service.ask(lambda client: client.status())["daemon"]["pid"] == service.process.pid


async def test_an_engine_in_a_process_of_hers_is_refused_beside_the_daemon(service, place):
    """On the same volume there is one queue, hence one engine."""
    with pytest.raises(Conflict) as told:
        async with running_engine(service.volume, datasets(place)):
            pass
    assert str(told.value) == f"The data service of this volume runs already (process {service.process.pid})."
    assert told.value.next_step == "Use that one, or end it first."


@root
@fuse
def test_a_second_daemon_on_the_same_folder_is_refused_and_the_first_goes_on(place):
    """Also with a volume and a socket of its own: nothing is mounted over what somebody works in."""
    first = DataService(place / "dms", datasets(place), mount=place / "data")
    second = DataService(place / "other", datasets(place), mount=place / "data")
    try:
        assert first.start()["mounted"]
        told = second.start()
        assert not told["ready"]
        assert told["problem"] == {
            "code": "conflict",
            "message": f"Another data service shows its datasets at {place}/data already.",
            "next_step": "Use that one; to start anew, end it first.",
        }
        assert second.process.wait(30) == 1
        assert not second.socket.exists()
        mounts = [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if f" {place}/data " in line]
        assert len(mounts) == 1
        assert (place / "data/raw/file.bin").stat().st_size == 256_000
    finally:
        second.mount = None
        second.stop()
        first.stop()


@pytest.mark.parametrize(
    "order",
    ["", "[]", '{"user": "ada"}', '{"user": 1}', "{not json"],
    ids=["empty", "list", "lacking", "wrong", "text"],
)
def test_a_wrong_order_is_told_in_one_line(order):
    """The first word says what is wrong; nothing was touched."""
    done = subprocess.run(
        [sys.executable, "-m", "jupyter_alc.dms.daemon"],
        input=order, capture_output=True, text=True, check=False, timeout=60, cwd=Path(__file__).parents[3],
    )  # fmt: skip
    assert done.returncode == 2
    told = json.loads(done.stdout)
    assert told["problem"]["code"] == "bad_input"
    assert told["problem"]["next_step"]
    assert "Traceback" not in done.stderr


def test_a_killed_daemon_is_replaced_and_its_socket_with_it(service, place):
    """kill -9 leaves lock and socket to the next one."""
    service.kill()
    assert service.start()["ready"]
    assert service.ask(lambda client: client.info("raw/file.bin"))["size"] == 256_000


def test_nobody_there_is_told_as_such(place):
    """A client without a daemon hears a sentence, not a traceback of sockets."""

    async def ask():
        client = DmsClient(place / "nobody.sock")
        try:
            await client.status()
        finally:
            await client.close()

    with pytest.raises(Unavailable) as raised:
        asyncio.run(ask())
    assert raised.value.next_step


def test_sigterm_ends_it_soon_and_leaves_no_socket(service):
    """An end with nothing unsent takes no flush deadline."""
    with Stalls(service.process.pid) as stalls:
        started = stalls.mark()
        assert service.stop() == 0
        assert stalls.since(started) < 10
    assert not service.socket.exists()


@root
def test_a_peer_of_another_uid_is_refused_on_every_route(place):
    """The kernel says who asks; the socket file itself is open to all."""
    running = DataService(place / "dms", datasets(place), files_uid=53900, run_as=52901)
    running.place.mkdir(mode=0o711)
    code = (
        "import http.client,socket,sys\n"
        "for method, path in [('GET','/v1/status'),('GET','/v1/ls?path='),('GET','/v1/read?path=raw/file.bin'),"
        "('PUT','/v1/file?path=results/x'),('POST','/v1/flush'),('GET','/v1/none'),('GET','/')]:\n"
        "    c=http.client.HTTPConnection('dms'); c.sock=socket.socket(socket.AF_UNIX); c.sock.connect(sys.argv[1])\n"
        "    c.request(method,path); print(c.getresponse().status)\n"
    )
    try:
        running.start()
        ask = lambda uid: subprocess.run(  # noqa: E731
            ["setpriv", "--reuid", str(uid), "--regid", str(uid), "--clear-groups",
             str(Path(sys.executable).resolve()), "-I", "-c", code, str(running.socket)],
            capture_output=True, text=True, check=False, timeout=60,
        ).stdout.split()  # fmt: skip
        assert set(ask(53902)) == {"403"}
        assert ask(53900)[:3] == ["200", "200", "206"]
    finally:
        running.stop()


@root
@fuse
def test_serves_under_its_own_uid_and_the_user_cannot_look_inside(place):
    """Root is given up for good; memory and environment of the holder of credentials are shut."""
    running = DataService(place / "dms", datasets(place), mount=place / "data", files_uid=53900, run_as=52901)
    running.place.mkdir(mode=0o711)
    try:
        assert running.start()["mounted"]
        proc = Path(f"/proc/{running.process.pid}")
        status = dict(
            line.split(":\t", 1) for line in proc.joinpath("status").read_text().splitlines() if ":\t" in line
        )
        assert set(status["Uid"].split()) == {"52901"}
        assert set(status["Gid"].split()) == {"52901"}
        assert not status["Groups"].strip()
        assert int(status["CapEff"], 16) == 0
        assert status["NoNewPrivs"] == "1"
        for uid in (53900, 52901):
            looked = subprocess.run(
                ["setpriv", "--reuid", str(uid), "--regid", str(uid), "--clear-groups", "--inh-caps=-all",
                 "cat", str(proc / "environ"), str(proc / "mem"), str(proc / "maps")],
                capture_output=True, check=False, timeout=30,
            )  # fmt: skip
            assert looked.returncode != 0
            assert looked.stdout == b""
    finally:
        running.stop()


@pytest.fixture
def open_device(place):
    """A mount namespace, kept by a process, where all may open /dev/fuse as udev sets it; enter it as `nobody`."""
    code = 'mknod "$1" c 10 229 && chmod 666 "$1" && mount --bind "$1" /dev/fuse && echo open && exec sleep 300'
    keeper = subprocess.Popen(
        ["unshare", "--mount", "sh", "-c", code, "sh", str(place / "device")], stdout=subprocess.PIPE, text=True
    )
    assert keeper.stdout.readline() == "open\n"
    yield ["nsenter", "-t", str(keeper.pid), "--mount", *_as(NOBODY)]
    keeper.kill()
    keeper.communicate()


@root
@fuse
def test_an_ordinary_user_mounts_through_fusermount3(place, open_device):
    """No root: the same daemon, the same folder, unmounted by itself at the end, and after a kill by the next one."""
    for folder in (place / "home", place / "raw", place / "results"):
        folder.mkdir(exist_ok=True)
        os.chown(folder, NOBODY, NOBODY)
    home = place / "home"
    look = [*open_device, "stat", "-c", "%s %u", str(home / "data/raw/file.bin")]
    running = DataService(home / "dms", datasets(place), mount=home / "data", files_uid=NOBODY, launcher=open_device)
    try:
        assert running.start() == {"ready": True, "mounted": True, "problem": None}
        assert subprocess.run(look, capture_output=True, text=True, check=True).stdout == f"256000 {NOBODY}\n"
        running.kill()
        assert running.start()["mounted"]
        assert subprocess.run(look, capture_output=True, text=True, check=True).stdout == f"256000 {NOBODY}\n"
        assert running.stop() == 0
        seen = subprocess.run([*open_device, "cat", "/proc/self/mountinfo"], capture_output=True, text=True, check=True)
        assert f" {home}/data " not in seen.stdout
    finally:
        running.stop()


def test_without_a_way_to_mount_the_socket_serves_and_says_why(place):
    """The problem comes with its next step; data can be had through the socket."""
    (place / "data").write_text("a file is in the way")
    running = DataService(place / "dms", datasets(place), mount=place / "data")
    running.place.mkdir()
    try:
        told = running.start()
        assert told["ready"]
        assert not told["mounted"]
        assert told["problem"]["code"] == "missing"
        assert told["problem"]["next_step"]
        assert running.ask(lambda client: client.info("raw/file.bin"))["size"] == 256_000
    finally:
        running.stop()


@root
@fuse
def test_a_link_in_the_place_of_the_mount_is_refused(place):
    """The folder lies in the user's home: a link put there must not lead root elsewhere."""
    (place / "elsewhere").mkdir()
    (place / "data").symlink_to(place / "elsewhere")
    running = DataService(place / "dms", datasets(place), mount=place / "data", files_uid=53900, run_as=52901)
    running.place.mkdir(mode=0o711)
    try:
        told = running.start()
        assert told["ready"]
        assert not told["mounted"]
        assert f" {place}/elsewhere " not in Path("/proc/self/mountinfo").read_text()
    finally:
        running.stop()


def test_a_socket_that_answers_is_not_taken_over(place):
    """Something else lives there: say so, and leave it alone."""
    running = DataService(place / "dms", datasets(place))
    running.socket.parent.mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(running.socket))
        other.listen()
        told = running.start()
        assert not told["ready"]
        assert told["problem"]["code"] == "conflict"
        assert running.process.wait(30) == 1
    running.stop()
