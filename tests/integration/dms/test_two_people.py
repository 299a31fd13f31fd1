"""Two people with data services of their own on one computer, two real uids: neither gets at what is the other's."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from jupyter_alc.core.dataset import Access, MountedDataset
from jupyter_alc.testing.archive_service import ArchiveService
from jupyter_alc.testing.data_service import DataService
from labs.moto import Moto

pytestmark = [pytest.mark.integration, pytest.mark.root, pytest.mark.fuse]

PYTHON = str(Path(sys.executable).resolve())
ASK = """
import socket, sys
line = socket.socket(socket.AF_UNIX)
line.connect(sys.argv[1])
line.sendall(b"GET " + sys.argv[2].encode() + b" HTTP/1.1\\r\\nHost: dms\\r\\nConnection: close\\r\\n\\r\\n")
got = b""
while piece := line.recv(65536):
    got += piece
print(got.decode(errors="replace"))
"""


@dataclass
class Person:
    """Somebody with a data service that runs under a uid of its own."""

    name: str
    uid: int
    daemon: int
    service: DataService
    secrets: dict[str, str]
    log: Path

    def run(self, *words):
        front = ["setpriv", "--reuid", str(self.uid), "--regid", str(self.uid), "--clear-groups", "--no-new-privs"]
        return subprocess.run([*front, *words], capture_output=True, text=True, timeout=60, check=False)

    def ask(self, socket, path):
        return self.run(PYTHON, "-I", "-c", ASK, str(socket), path).stdout

    @property
    def pid(self):
        return self.service.process.pid


@pytest.fixture(scope="module")
def place():
    folder = Path(tempfile.mkdtemp(prefix="alc-t-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def people(place):
    """Ada and brahe: each with results on WebDAV by a password, and a bucket by keys; both have read something."""
    archive = ArchiveService(place / "archive")
    archive.place.mkdir(mode=0o700)
    archive.start()
    found = []
    with Moto(place / "moto") as moto:
        try:
            for number, name in enumerate(("ada", "brahe")):
                bucket = moto.bucket()
                moto.client.put_object(Bucket=bucket, Key="top/object", Body=f"object of {name}".encode() * 100)
                (archive.results(name) / "result").write_bytes(f"result of {name}".encode() * 100)
                keys = {"access_key": f"KEY{name}0123456789", "secret_key": f"secret-of-{name}-0123456789"}
                mine = archive.dataset(name)
                datasets = [
                    mine,
                    MountedDataset("runs", "Runs", "s3", moto.url(bucket, "top"), Access.READ, credentials=keys),
                ]
                log = place / f"{name}.log"
                service = DataService(
                    place / name, datasets, mount=place / name / "data", files_uid=53900 + 2 * number,
                    run_as=52901 + 2 * number, launcher=_logging(log), extra={"user": name},
                )  # fmt: skip
                service.place.mkdir(mode=0o711)
                secrets = {**keys, "password": mine.credentials["password"]}
                one = Person(name, service.files_uid, service.run_as, service, secrets, log)
                found.append(one)
                assert service.start()["mounted"]
                for path in ("runs/object", "results/result"):
                    said = one.run("/bin/cat", str(service.mount / path))
                    assert said.stdout == f"{path.rpartition('/')[2]} of {name}" * 100, said.stderr
            yield found
        finally:
            for one in found:
                one.service.stop()
            archive.stop()


def test_neither_reads_the_others_mount_cache_or_queue(people):
    for one, other in (people, people[::-1]):
        for path in (
            other.service.mount,
            other.service.mount / "results/result",
            other.service.volume,
            other.service.volume / "cache",
            *list(other.service.volume.glob("cache/v*/*/*"))[:4],
        ):
            for words in (["/bin/ls", str(path)], ["/bin/cat", str(path)], ["/usr/bin/touch", f"{path}-x"]):
                said = one.run(*words)
                assert said.returncode != 0, (words, said.stdout)
                assert "Permission denied" in said.stderr, said.stderr


def test_neither_is_answered_by_the_others_socket(people):
    for one, other in (people, people[::-1]):
        for path in ("/v1/status", "/v1/read?path=results/result", "/v1/ls?path=", "/v1/metrics"):
            said = one.ask(other.service.socket, path)
            assert "200 OK" not in said.partition("\r\n")[0]
            assert f"of {other.name}" not in said
        assert " 200 OK" in one.ask(one.service.socket, "/v1/status")


def test_nobody_looks_into_the_process_that_has_the_credentials_not_even_whose_they_are(people):
    for one in people:
        for two in people:
            for secret in ("environ", "mem", "maps", "fd", "cwd/x", "root/x"):
                said = one.run("/bin/ls" if secret == "fd" else "/bin/cat", f"/proc/{two.pid}/{secret}")
                assert said.returncode != 0
                assert "Permission denied" in said.stderr, said.stderr


def test_credentials_stand_in_no_process_list_mount_option_log_answer_or_file(people):
    everything = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            for what in ("cmdline", "environ", "mountinfo"):
                try:
                    everything[folder / what] = (folder / what).read_bytes()
                except OSError:  # it ended, or is the kernel's
                    continue
    for one in people:
        everything[one.log] = one.log.read_bytes()
        for path in ("status", "ls?path=", "ls?path=results", "metrics", "info?path=runs/object", "history"):
            everything[f"{one.name} {path}"] = one.ask(one.service.socket, f"/v1/{path}").encode()
        for file in [*one.service.volume.rglob("*"), *one.service.socket.parent.rglob("*")]:
            if file.is_file():
                everything[file] = file.read_bytes()
        listed = one.run("/usr/bin/getfattr", "-d", "-m", "-", str(one.service.mount / "runs/object"))
        everything[f"{one.name} attributes"] = listed.stdout.encode()
    assert any("cache" in str(name) for name in everything)
    for one in people:
        for kind, secret in one.secrets.items():
            for form in (secret, json.dumps(secret)[1:-1], _basic(one.name, secret)):
                found = [str(name) for name, text in everything.items() if form.encode() in text]
                assert found == [], f"the {kind} of {one.name}"


def test_an_error_about_refused_credentials_does_not_tell_them(people, place):
    one = people[0]
    keys = {"username": "ada", "password": "wrong-and-long-password"}
    refused = MountedDataset("shut", "Shut", "webdav", one.service.datasets[0].url, Access.READ, credentials=keys)
    log = place / "refused.log"
    service = DataService(place / "refused", [refused], launcher=_logging(log))
    service.place.mkdir()
    try:
        service.start()
        with pytest.raises(PermissionError) as told:
            service.ask(lambda client: client.ls("shut"))
        said = f"{told.value} {getattr(told.value, 'next_step', '')}" + json.dumps(service.ask(lambda c: c.status()))
        assert keys["password"] not in said + log.read_text()
        assert "credentials" in said
    finally:
        service.stop()


def _logging(log):
    return ["/bin/sh", "-c", f'exec "$@" 2>{log}', "sh"]


def _basic(name, secret):
    import base64

    return base64.b64encode(f"{name}:{secret}".encode()).decode()
