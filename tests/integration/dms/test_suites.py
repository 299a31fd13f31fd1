"""Suites of others on a mounted folder: h5py's own tests, in part, and with TIERS=all whole."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from jupyter_alc.core.dataset import Access, MountedDataset
from jupyter_alc.testing.data_service import DataService

pytestmark = [pytest.mark.integration, pytest.mark.root, pytest.mark.fuse, pytest.mark.timeout(1500)]

LEFT_OUT = {
    "TestMPI": "needs a parallel HDF5",
    "test_append_permissions": "root may write what is read only, on a local disk too",
    "test_h5pl.py": "is about plug-ins of the library and no file; hdf5plugin beside it changes what it expects",
    "test_unregister_filter": "as test_h5pl.py",
}
QUICK = ("test_dataset_getitem", "test_slicing", "test_objects", "test_dimension_scales", "test_vds")


@pytest.fixture
def folder():
    """A dataset to write in, mounted."""
    with tempfile.TemporaryDirectory(prefix="alc-t-") as place:
        (Path(place) / "archive").mkdir()
        dataset = MountedDataset("scratch", "Scratch", "local", f"file://{place}/archive", Access.WRITE)
        service = DataService(Path(place), [dataset], mount=Path(place) / "data")
        try:
            assert service.start()["mounted"]
            yield service.mount / "scratch"
        finally:
            service.stop()


def h5py_tests(folder, *chosen):
    """Run them with their files on the mount: how many passed; what failed is the error."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-rfEs", "--tb=short", "-o", "addopts="]
    command += ["-k", " and ".join(f"not {name}" for name in LEFT_OUT), *chosen]
    environment = {**os.environ, "TMPDIR": str(folder)}
    done = subprocess.run(command, cwd="/", env=environment, capture_output=True, text=True, check=False, timeout=1400)
    last = done.stdout.strip().rpartition("\n")[2]
    assert done.returncode == 0, done.stdout[-5000:]
    print(*(line for line in done.stdout.splitlines() if line.startswith("SKIPPED")), sep="\n")
    return int(re.search(r"(\d+) passed", last)[1])


def test_h5pys_tests_of_reading_pass_on_the_mount(folder):
    assert h5py_tests(folder, "--pyargs", *(f"h5py.tests.{name}" for name in QUICK)) > 100


@pytest.mark.long
def test_all_of_h5pys_tests_pass_on_the_mount(folder):
    assert h5py_tests(folder, "--pyargs", "h5py") > 850
