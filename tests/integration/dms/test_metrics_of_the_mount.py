"""What is pushed into the kernel's memory is counted for operators; R17 and S7 of docs/semantics/dms.md."""

import os
import re
import shutil
import tempfile
import time
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from jupyter_alc.core.dataset import Access, MountedDataset
from jupyter_alc.testing.data_service import DataService

pytestmark = [pytest.mark.integration, pytest.mark.root, pytest.mark.fuse]
MIB = 1 << 20
SIZE = 32 * MIB


@pytest.fixture
def serving():
    """Begin a service that pushes ahead, or does not, with a published file of 32 MiB."""
    place = Path(tempfile.mkdtemp(prefix="alc-t-"))
    place.chmod(0o711)
    (place / "behind").mkdir()
    (place / "behind/file").write_bytes(os.urandom(SIZE))
    os.utime(place / "behind/file", (1_700_000_000, 1_700_000_000))
    dataset = MountedDataset("ds", "Data", "local", str(place / "behind"), Access.READ, published=True)
    begun = []

    def serve(switch):
        launcher = ["env", f"ALC_DMS_PUSH_AHEAD={switch}"]
        service = DataService(place / "dms", [dataset], mount=place / "data", run_as=52901, launcher=launcher)
        service.place.mkdir(mode=0o711)
        begun.append(service)
        assert service.start()["mounted"]
        return service, place / "data/ds/file"

    yield serve
    for service in begun:
        service.stop()
    shutil.rmtree(place)


def pushed(service):
    """The bytes, as Prometheus reads them."""
    text = service.ask(lambda client: client.metrics())
    told = [one for family in text_string_to_metric_families(text) for one in family.samples]
    (value,) = [one.value for one in told if one.name == "jupyter_alc_dms_pushed_bytes_total"]
    return value


def read(path, pause=0.0):
    """Read a file in order, once the kernel has forgotten it, as one who also works."""
    with path.open("rb", buffering=0) as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        got = []
        while held := file.read(MIB // 8):
            got.append(held)
            time.sleep(pause)
    return b"".join(got)


def test_s7_what_is_pushed_ahead_of_readers_is_counted(serving, capfd):
    service, file = serving("on")
    assert pushed(service) == 0
    content = read(file)
    before = pushed(service)
    assert read(file, pause=0.005) == content
    told = pushed(service) - before
    assert MIB // 2 <= told < SIZE, "at least a piece, and never the gaps, by which the reader is seen"
    service.stop()
    (logged,) = re.findall(r"(\d+) MiB were pushed ahead of readers", capfd.readouterr().err)
    assert int(logged) - (int(before + told) >> 20) in {0, 1}, "as its log tells, but for a push that was under way"


def test_s7_where_nothing_is_pushed_that_is_told_too(serving):
    service, file = serving("off")
    read(file)
    assert len(read(file, pause=0.001)) == SIZE
    assert pushed(service) == 0
