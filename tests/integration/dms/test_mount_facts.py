"""What docs/semantics/dms.md says of modes, times and attributes in the mount, as an ordinary user meets it."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from jupyter_alc.core.dataset import Access, MountedDataset
from jupyter_alc.testing.data_service import DataService

pytestmark = [pytest.mark.integration, pytest.mark.root, pytest.mark.fuse]

ADA, DAEMON = 53900, 52901
FACTS = """
import errno, os, sys, time
top = sys.argv[1]
def number(call, *given):
    try:
        call(*given)
    except OSError as error:
        return errno.errorcode[error.errno]
    return "ok"
read, results = f"{top}/raw/file", f"{top}/results"
print("write", number(open, read, "r+b"), number(open, f"{top}/raw/new", "wb"), number(os.mkdir, f"{top}/raw/d"))
open(f"{results}/a", "wb").close()
print("chmod", number(os.chmod, f"{results}/a", 0o644), oct(os.stat(f"{results}/a").st_mode & 0o777))
print("utime", number(os.utime, f"{results}/a", (1, 1)), end=" ")
time.sleep(1.5)
print(os.stat(f"{results}/a").st_mtime > 1_000_000_000)
print("xattr", number(os.setxattr, f"{results}/a", "user.x", b"1"), os.getxattr(read, "user.dms.state").decode())
print("links", number(os.link, f"{results}/a", f"{results}/b"), number(os.symlink, "a", f"{results}/b"))
"""


@pytest.fixture
def place():
    folder = Path(tempfile.mkdtemp(prefix="alc-t-"))
    folder.chmod(0o711)
    for name in ("raw", "results"):
        (folder / name).mkdir()
        (folder / name).chmod(0o777)
    (folder / "raw" / "file").write_bytes(b"raw")
    (folder / "raw" / "file").chmod(0o644)
    yield folder
    subprocess.run(["umount", "-l", str(folder / "data")], check=False, capture_output=True)
    shutil.rmtree(folder)


def test_n5_w8_modes_times_and_attributes_are_as_the_page_says(place):
    datasets = [
        MountedDataset("raw", "Raw", "local", str(place / "raw"), Access.READ, published=True),
        MountedDataset("results", "Results", "local", str(place / "results"), Access.WRITE),
    ]
    service = DataService(place / "dms", datasets, mount=place / "data", files_uid=ADA, run_as=DAEMON)
    service.place.mkdir(mode=0o711)
    try:
        assert service.start()["mounted"]
        person = ["setpriv", "--reuid", str(ADA), "--regid", str(ADA), "--clear-groups"]
        python = str(Path(sys.executable).resolve())
        told = subprocess.run(
            [*person, python, "-I", "-c", FACTS, place / "data"],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert told.stdout.splitlines() == [
            "write EACCES EACCES EACCES",
            "chmod ok 0o600",
            "utime ok True",
            "xattr ENOTSUP archive",
            "links EPERM EPERM",
        ], told.stderr
        with pytest.raises(OSError, match="Read-only file system"):
            os.open(place / "data/raw/file", os.O_RDWR)
    finally:
        service.stop()
