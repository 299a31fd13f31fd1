"""Large folders: neither loop keeps anybody waiting (R16) while they are listed, and they take little memory (N10)."""

import json
import os
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import pytest

from bench.reading.many_names import many_names
from bench.reading.measuring import peak_mib
from campaign.watched import launcher
from jupyter_alc.core.dataset import Access, MountedDataset
from jupyter_alc.testing.data_service import DataService

pytestmark = [pytest.mark.integration, pytest.mark.root, pytest.mark.fuse]

STREAM_BYTES = 64 << 20
LEAST_SECONDS = 5  # for enough turns


@pytest.fixture
def place():
    folder = Path(tempfile.mkdtemp(prefix="alc-t-"))
    yield folder
    subprocess.run(["umount", "-l", str(folder / "data")], check=False, capture_output=True)
    subprocess.run(["rm", "-rf", str(folder)], check=True)


@pytest.mark.long
@pytest.mark.timeout(400)
def test_n10_a_million_names_of_one_folder_take_little_memory_and_are_asked_for_once(place):
    with many_names(1_000_000) as port:
        url, keys = f"s3://b/?endpoint=http://127.0.0.1:{port}&region=us-east-1", {"access_key": "a", "secret_key": "b"}
        dataset = MountedDataset("names", "Names", "s3", url, Access.READ, published=True, credentials=keys)
        (place / "dms").mkdir()
        service = DataService(place / "dms", [dataset], mount=place / "data")

        def requests():
            return service.ask(lambda client: client.status())["datasets"][0]["requests"]

        try:
            assert service.start()["mounted"]
            assert sum(1 for _ in os.scandir(place / "data/names/many")) == 1_000_000
            asked = requests()
            assert sum(1 for _ in os.scandir(place / "data/names/many")) == 1_000_000
            assert requests() == asked
            assert peak_mib(service.process.pid) <= 300
        finally:
            service.stop()


@pytest.mark.parametrize("count", [20_000, pytest.param(100_000, marks=pytest.mark.long)])
def test_r16_a_large_folder_and_a_stream_leave_both_loops_their_turns(place, count):
    raw = place / "raw"
    raw.mkdir()
    with (raw / "stream").open("wb") as file:
        file.truncate(STREAM_BYTES)
    with many_names(count) as port:
        keys = {"access_key": "a", "secret_key": "b"}
        url = f"s3://b/?endpoint=http://127.0.0.1:{port}&region=us-east-1"
        datasets = [
            MountedDataset("names", "Names", "s3", url, Access.READ, published=True, credentials=keys),
            MountedDataset("raw", "Raw", "local", str(raw), Access.READ, published=True),
        ]
        (place / "dms").mkdir()
        service = DataService(place / "dms", datasets, mount=place / "data", launcher=launcher(place))
        try:
            assert service.start()["mounted"]
            listed, ended = [], threading.Event()

            def listing():
                # cold, and from what is known
                listed.extend(sum(1 for _ in os.scandir(place / "data/names/many")) for _ in range(2))
                ended.set()

            walker = threading.Thread(target=listing)
            walker.start()
            read, least = 0, time.monotonic() + LEAST_SECONDS
            while not ended.is_set() or read < STREAM_BYTES or time.monotonic() < least:
                with (place / "data/raw/stream").open("rb", buffering=0) as file:
                    while some := file.read(1 << 20):
                        read += len(some)
                        time.sleep(0.01)
            walker.join()
            assert listed == [count, count]
        finally:
            service.stop()
    told = json.loads((place / "turns.json").read_text())
    assert set(told) == {"engine", "mount"}
    for name, loop in told.items():
        assert loop["turns"] > 100, name
        assert not loop["late"], (name, loop)
