"""The mount as a person on the machine meets it: real kernel, real daemon under a user of its own, real archive."""

import contextlib
import errno
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest

from jupyter_alc.core.dataset import Access, MountedDataset
from jupyter_alc.dms.fuse.control import CONGESTION_THRESHOLD, MAX_BACKGROUND
from jupyter_alc.dms.fuse.table import mount_at
from jupyter_alc.testing.archive_service import ArchiveService
from jupyter_alc.testing.data_service import DataService
from stalls import Stalls

pytestmark = [pytest.mark.integration, pytest.mark.root, pytest.mark.fuse]

DAEMON, ADA, BRAHE = 52901, 53900, 53902
PYTHON = str(Path(sys.executable).resolve())


def run_as(uid, *command, seconds=30):
    """Run a command as somebody; the answer is the finished process."""
    front = ["setpriv", "--reuid", str(uid), "--regid", str(uid), "--clear-groups", "--no-new-privs"]
    return subprocess.run([*front, *command], capture_output=True, text=True, timeout=seconds, check=False)


def python_as(uid, code, *words, seconds=30):
    """Run Python code as somebody; what it prints is the answer, what it raises is the error."""
    done = run_as(uid, PYTHON, "-I", "-c", code, *map(str, words), seconds=seconds)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture
def place():
    """A folder that other users can pass through, below which every mount is taken away again."""
    folder = Path(tempfile.mkdtemp(prefix="alc-t-"))
    folder.chmod(0o711)
    yield folder
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        if line.split()[4].startswith(f"{folder}/"):
            subprocess.run(["umount", "-l", line.split()[4]], check=False)
    shutil.rmtree(folder)


@pytest.fixture
def archive(place):
    server = ArchiveService(place / "archive")
    server.place.mkdir(mode=0o700)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def raw(place):
    """A published dataset in a folder: 3 MB and a small file in a sub-folder."""
    folder = place / "raw"
    (folder / "sub").mkdir(parents=True)
    (folder / "big.bin").write_bytes(os.urandom(3_000_000))
    (folder / "sub" / "small.txt").write_text("small\n")
    return folder


@pytest.fixture
def service(place, archive, raw):
    datasets = [
        MountedDataset("raw", "Raw", "local", str(raw), Access.READ, published=True),
        archive.dataset(),
    ]
    running = DataService(place / "dms", datasets, mount=place / "data", files_uid=ADA, run_as=DAEMON)
    running.place.mkdir(mode=0o711)
    try:
        assert running.start() == {"ready": True, "mounted": True, "problem": None}
        yield running
    finally:
        running.stop()


def dataset_status(told, dataset):
    return next(each for each in told["datasets"] if each["id"] == dataset)


def all_sent(told):
    return not told["unsent"]


def test_the_user_reads_identical_bytes_and_another_uid_is_refused(service, raw):
    """R1, and the kernel refuses everybody whose files these are not."""
    copy = "import sys,hashlib; print(hashlib.sha256(open(sys.argv[1],'rb').read()).hexdigest())"
    original = subprocess.run(["sha256sum", raw / "big.bin"], capture_output=True, text=True, check=True)
    assert python_as(ADA, copy, service.mount / "raw/big.bin") == original.stdout.split()[0]
    listing = run_as(ADA, "ls", "-lR", str(service.mount)).stdout
    assert "big.bin" in listing
    assert "-r--------" in listing
    assert "small.txt" in listing
    refused = run_as(BRAHE, "ls", str(service.mount))
    assert refused.returncode != 0
    assert "Permission denied" in refused.stderr


def test_the_top_and_the_datasets_own_folders_have_the_time_of_the_mount(service):
    """No archive tells one, and a folder of 1970 looks broken in a file browser."""
    for folder in (service.mount, service.mount / "raw", service.mount / "results"):
        assert abs(float(run_as(ADA, "stat", "-c", "%Y", str(folder)).stdout) - time.time()) < 120


def test_many_readers_of_one_extent_cause_one_fetch(service, raw):
    """R3: what moves is the file once, not once per reader."""
    reader = [
        "setpriv", "--reuid", str(ADA), "--regid", str(ADA), "--clear-groups", "cat", str(service.mount / "raw/big.bin")
    ]  # fmt: skip
    readers = [subprocess.Popen(reader, stdout=subprocess.PIPE) for _ in range(6)]
    contents = [each.communicate(timeout=60)[0] for each in readers]
    assert all(content == (raw / "big.bin").read_bytes() for content in contents)
    moved = dataset_status(service.wait_until(lambda _: True), "raw")["moved_bytes"]
    assert 3_000_000 <= moved <= 3_000_000 + 256 * 1024


def test_what_is_closed_reaches_the_archive(service, archive):
    """W1, W3: written as files by the user, found whole in the archive."""
    python_as(
        ADA,
        "import sys,pathlib; d=pathlib.Path(sys.argv[1]); (d/'run').mkdir(); "
        "(d/'run'/'a.bin').write_bytes(b'x'*200000);"
        "(d/'b.txt').write_text('one'); open(d/'b.txt','a').write(' two')",
        service.mount / "results",
    )
    assert not service.ask(lambda client: client.flush(60))["unsent"]
    assert (archive.results() / "run" / "a.bin").read_bytes() == b"x" * 200_000
    assert (archive.results() / "b.txt").read_text() == "one two"
    state = "import os,sys; print(os.getxattr(sys.argv[1], 'user.dms.state').decode())"
    assert python_as(ADA, state, service.mount / "results/b.txt") == "archive"


def test_the_calls_that_programs_make_on_files(service):
    """Append, seek, truncate, rename over, read and write after unlink, folders; what archives lack is refused."""
    code = r"""
import errno, os, sys
os.chdir(sys.argv[1])
def refused(number, call, *given):
    try: call(*given)
    except OSError as error: assert error.errno == number, error
    else: raise AssertionError(call)
with open("f", "wb+") as f:
    f.write(b"0123456789"); f.flush(); os.fsync(f.fileno())
    f.seek(4); f.write(b"XX"); f.flush()
    assert os.fstat(f.fileno()).st_size == 10
    f.truncate(8); f.seek(0); assert f.read() == b"0123XX67", "after truncate"
assert open("f", "rb").read() == b"0123XX67"
os.truncate("f", 3); assert open("f", "rb").read() == b"012"
with open("f", "ab") as f: f.write(b"end")
assert os.stat("f").st_size == 6
with open("g.tmp", "w") as g: g.write("new")
os.replace("g.tmp", "f"); assert open("f").read() == "new"
os.mkdir("d"); os.rename("f", "d/f"); assert os.listdir("d") == ["f"]
held = open("d/f", "r+"); os.unlink("d/f"); assert held.read() == "new"
held.write("er"); held.flush(); held.seek(0); assert held.read() == "newer"; held.close()
assert not os.path.exists("d/f"); os.rmdir("d")
open("h", "w").close(); refused(errno.EPERM, os.link, "h", "l"); refused(errno.EPERM, os.symlink, "h", "s")
refused(errno.EEXIST, os.open, "h", os.O_CREAT | os.O_EXCL | os.O_WRONLY)
refused(errno.ENOENT, os.stat, "nothing")
os.mkdir("e"); open("e/x", "w").close(); refused(errno.ENOTEMPTY, os.rmdir, "e")
os.chmod("h", 0o600); os.utime("h"); os.unlink("h")
assert os.statvfs(".").f_bavail > 0
print("done")
"""
    assert python_as(ADA, code, service.mount / "results") == "done"


def test_a_read_only_dataset_and_the_top_refuse_changes(service):
    """W8. Modes say it to the user's programs, EROFS to whoever passes the modes."""
    user = run_as(ADA, "touch", str(service.mount / "raw/new"))
    assert "Permission denied" in user.stderr
    with pytest.raises(OSError, match="Read-only") as refused:
        (service.mount / "raw" / "new").touch()
    assert refused.value.errno == errno.EROFS
    with pytest.raises(OSError, match="Read-only"):
        (service.mount / "new-dataset").mkdir()


def test_without_the_archive_cached_bytes_read_and_unknown_names_are_errors(service, archive):
    """N3, R7: EIO for what cannot be checked, never "not there"."""
    (archive.results() / "known.bin").write_bytes(b"k" * 100_000)
    known = service.mount / "results" / "known.bin"
    assert known.read_bytes() == b"k" * 100_000
    archive.stop()
    time.sleep(1.2)  # a live dataset believes names for one second
    assert known.read_bytes() == b"k" * 100_000
    with pytest.raises(OSError, match="Input/output error"):
        (service.mount / "results" / "never-seen" / "file").stat()
    (archive.results() / "other.bin").write_bytes(b"o")


def test_a_kill_with_unsent_files_loses_nothing(service, archive):
    """W2, W10: closed with success, killed with -9, sent by the next daemon."""
    list((service.mount / "results").iterdir())
    archive.stop()
    python_as(ADA, "import sys; open(sys.argv[1],'wb').write(b'r'*300000)", service.mount / "results/late.bin")
    assert service.wait_until(lambda told: told["unsent"])["unsent"][0]["path"] == "results/late.bin"
    service.kill()
    with pytest.raises(OSError, match="not connected"):
        list(service.mount.iterdir())
    archive.start()
    assert service.start()["mounted"]
    assert Path("/proc/self/mountinfo").read_text().count(f" {service.mount} ") == 1  # the dead mount is gone
    assert (service.mount / "results" / "late.bin").stat().st_size == 300_000
    service.wait_until(all_sent)
    assert (archive.results() / "late.bin").read_bytes() == b"r" * 300_000


def test_versions_are_never_mixed(service, archive):
    """R4: an open file keeps its version or ends with ESTALE; a new open sees the new one."""
    source = archive.results() / "changing.bin"
    source.write_bytes(b"1" * 1_500_000)
    time.sleep(1.1)  # so that the archive's whole seconds tell the versions apart
    seen = service.mount / "results" / "changing.bin"
    with seen.open("rb", buffering=0) as held:
        assert held.read(70_000) == b"1" * 70_000
        source.write_bytes(b"2" * 1_400_000)
        time.sleep(1.2)
        assert seen.read_bytes() == b"2" * 1_400_000
        parts = []
        with contextlib.suppress(OSError):
            parts.extend(os.pread(held.fileno(), 100_000, start) for start in range(0, 1_500_000, 100_000))
        assert set(b"".join(parts)) <= {ord("1")}
    assert seen.stat().st_size == 1_400_000


def test_the_kernel_does_not_read_far_ahead_between_jumps(service, raw):
    """What is asked of the archive is what programs ask for: chunks of a frame, and not the gaps between them."""
    code = (
        "import os,sys; f=os.open(sys.argv[1],os.O_RDONLY)\n"
        "for n in range(10): [os.pread(f,31000,n*250_000+k*31000) for k in range(4)]"
    )
    python_as(ADA, code, service.mount / "raw/big.bin")
    needed = dataset_status(service.wait_until(lambda _: True), "raw")["needed_bytes"]
    assert needed <= 10 * (4 * 31_000 + 48 * 1024)


def test_r7_the_kernel_lets_as_many_requests_wait_as_we_tell_it(service, place):
    """Read back where the kernel keeps it; mounted for this test where nobody has."""
    found = mount_at(place / "data")
    assert found is not None
    usual, own = Path("/sys/fs/fuse/connections"), place / "connections"
    own.mkdir()
    where, number = usual, found.device.partition(":")[2]
    if not (usual / number).exists():
        subprocess.run(["mount", "-t", "fusectl", "fusectl", str(own)], check=True)
        where = own
    assert int((where / number / "max_background").read_text()) == MAX_BACKGROUND
    assert int((where / number / "congestion_threshold").read_text()) == CONGESTION_THRESHOLD


def test_h5py_reads_a_frame_through_the_mount(service, raw):
    """HDF5's small jumping reads come back right, as the user."""
    h5py = pytest.importorskip("h5py")
    with h5py.File(raw / "frames.h5", "w") as made:
        made.create_dataset("data", data=list(range(200_000)), chunks=(10_000,))
    code = "import sys,h5py; f=h5py.File(sys.argv[1],'r'); print(int(f['data'][123456]), int(f['data'][-1]))"
    done = run_as(ADA, sys.executable, "-c", code, str(service.mount / "raw/frames.h5"), seconds=60)
    assert done.stdout.split() == ["123456", "199999"], done.stderr


def test_hung_reads_do_not_freeze_the_mount(service, archive, raw):
    """Thirty reads that wait for a stopped archive leave cached reads of another dataset as quick as ever."""
    for number in range(30):
        (archive.results() / f"slow-{number}.bin").write_bytes(b"s" * 70_000)
    list((service.mount / "results").iterdir())
    assert (service.mount / "raw" / "big.bin").read_bytes()[:1] == (raw / "big.bin").read_bytes()[:1]
    assert archive.process is not None
    archive.process.send_signal(19)  # SIGSTOP: it accepts and never answers
    try:
        hung = [
            threading.Thread(
                target=_read_quietly, args=(service.mount / "results" / f"slow-{number}.bin",), daemon=True
            )
            for number in range(30)
        ]
        for each in hung:
            each.start()
        time.sleep(1)
        with Stalls(service.process.pid) as stalls:
            started = stalls.mark()
            with (service.mount / "raw" / "big.bin").open("rb", buffering=0) as cached:
                os.posix_fadvise(cached.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
                cached.seek(1_000_000)
                assert len(cached.read(4096)) == 4096
            assert stalls.since(started) < 5
    finally:
        archive.process.send_signal(18)  # SIGCONT
    for each in hung:
        each.join(60)


def _read_quietly(path):
    with contextlib.suppress(OSError):
        path.read_bytes()


def test_w11_a_new_file_is_made_through_the_mount_while_the_archive_is_away(service, archive, place):
    mount = place / "data"
    (archive.results() / "seen").write_text("seen before")
    listing = "import os,sys; print(sorted(os.listdir(sys.argv[1])))"
    assert python_as(ADA, listing, mount / "results") == "['seen']"
    archive.stop()
    time.sleep(1.5)  # the time of a live dataset
    write = "import sys; open(sys.argv[1], 'x').write('made while away')"
    python_as(ADA, write, mount / "results/new", seconds=60)
    assert python_as(ADA, "import sys; print(open(sys.argv[1]).read())", mount / "results/new") == "made while away"
    archive.start()
    service.wait_until(all_sent)
    assert (archive.results() / "new").read_text() == "made while away"
