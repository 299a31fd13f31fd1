"""What is told: readers, states of files, metrics. Quotes S2, S3, S5 and S7 of docs/semantics/dms.md."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from jupyter_alc.core.dataset import Access, MountedDataset
from jupyter_alc.testing.data_service import DataService

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.integration

BLOCK = 65536
READ = "import sys; print(len(open(sys.argv[1], 'rb').read()))"
READ_DMS = """
import sys, fsspec
fs = fsspec.filesystem("dms", socket=sys.argv[1])
print(len(fs.cat_file("raw/big.bin")))
"""


@pytest.fixture
def service(tmp_path: Path) -> Iterator[DataService]:
    archive = tmp_path / "archive"
    (archive / "run").mkdir(parents=True)
    (archive / "big.bin").write_bytes(os.urandom(20 * BLOCK))
    (archive / "run" / "small.csv").write_bytes(b"a,b\n" * 100)
    (archive / "run" / "empty").write_bytes(b"")
    dataset = MountedDataset("raw", "Raw", "local", f"file://{archive}", Access.WRITE)
    made = DataService(tmp_path / "service", [dataset], mount=tmp_path / "data")
    assert made.start()["ready"]
    yield made
    made.stop()


def run_in_session(code: str, *words: str) -> int:
    """Run Python in a session of its own, as a kernel does; its session's id."""
    command = [sys.executable, "-c", code, *words]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True)
    said, _ = process.communicate(timeout=60)
    assert said.strip() == str(20 * BLOCK).encode()
    return process.pid


def by_sid(service: DataService) -> dict[int, dict[str, Any]]:
    return {one["sid"]: one for one in service.ask(lambda client: client.readers())}


@pytest.mark.fuse
def test_each_session_of_processes_is_a_reader_and_what_the_second_needs_comes_from_the_cache(
    service: DataService,
) -> None:
    """S2, S3: one through the mount, one through dms://."""
    first = run_in_session(READ, f"{service.mount}/raw/big.bin")
    second = run_in_session(READ_DMS, str(service.socket))
    told = by_sid(service)
    assert (told[first]["needed_bytes"], told[first]["cached_bytes"]) == (20 * BLOCK, 0)
    assert told[first]["moved_bytes"] == 20 * BLOCK
    assert told[second]["needed_bytes"] == told[second]["cached_bytes"] == 20 * BLOCK
    assert told[second]["moved_bytes"] == 0
    assert told[first]["name"].startswith("python")
    (dataset,) = service.ask(lambda client: client.status())["datasets"]
    assert (dataset["needed_bytes"], dataset["moved_bytes"]) == (40 * BLOCK, 20 * BLOCK)
    assert dataset["from_cache_bytes"] == 20 * BLOCK


def test_a_files_state_says_where_its_bytes_are_and_asking_moves_nothing(service: DataService) -> None:
    """S5."""

    def states(path: str) -> dict[str, tuple[str, int]]:
        entries = service.ask(lambda client: client.files(path))["entries"]
        return {one["name"]: (one["state"], one["cached_bytes"]) for one in entries}

    assert states("raw") == {"big.bin": ("archive", 0), "run": ("folder", 0)}
    assert states("raw/run") == {"small.csv": ("archive", 0), "empty": ("cached", 0)}
    assert states("") == {"raw": ("folder", 0)}
    (dataset,) = service.ask(lambda client: client.status())["datasets"]
    assert dataset["moved_bytes"] == 0
    service.ask(lambda client: client.read("raw/big.bin", 5 * BLOCK, 5 * BLOCK + 10))
    state, here = states("raw")["big.bin"]
    assert (state, 0 < here < 20 * BLOCK) == ("partly", True)
    service.ask(lambda client: client.read("raw/big.bin"))
    assert states("raw")["big.bin"] == ("cached", 20 * BLOCK)


def test_a_folder_is_told_in_parts(service: DataService) -> None:
    """S5, N10."""
    first = service.ask(lambda client: client.files("raw/run", "", 1))
    assert ([one["name"] for one in first["entries"]], first["next"]) == (["empty"], "empty")
    rest = service.ask(lambda client: client.files("raw/run", first["next"], 1))
    assert [one["name"] for one in rest["entries"]] == ["small.csv"]


def test_an_unsent_file_is_in_its_own_state(service: DataService) -> None:
    """S5, W4."""

    async def put(client: Any) -> list[dict[str, Any]]:
        async def pieces() -> Any:
            yield b"x" * 100

        await client.put("raw/new.csv", pieces())
        return list((await client.files("raw"))["entries"])

    entry = next(one for one in service.ask(put) if one["name"] == "new.csv")
    assert entry["state"] in {"staged", "uploading", "verifying"}
    assert entry["cached_bytes"] == 100


def test_evictions_are_counted(tmp_path: Path) -> None:
    """S7, R6."""
    (tmp_path / "archive").mkdir()
    for name in ("one", "two"):
        (tmp_path / "archive" / name).write_bytes(os.urandom(40 * BLOCK))
    dataset = MountedDataset("raw", "Raw", "local", f"file://{tmp_path}/archive", Access.READ)
    service = DataService(tmp_path, [dataset], extra={"quota_bytes": 64 * BLOCK})

    def evicted() -> float:
        told = text_string_to_metric_families(service.ask(lambda client: client.metrics()))
        return sum(one.value for each in told for one in each.samples if one.name.endswith("_cache_evictions_total"))

    try:
        assert service.start()["ready"]
        service.ask(lambda client: client.read("raw/one"))
        assert evicted() == 0
        service.ask(lambda client: client.read("raw/two"))
        assert evicted() >= 1
    finally:
        service.stop()


def test_metrics_tell_hits_bytes_and_latency_by_adapter(service: DataService) -> None:
    """S7."""
    for _ in range(2):
        service.ask(lambda client: client.read("raw/big.bin"))
    text = service.ask(lambda client: client.metrics())
    told = {
        (one.name, *one.labels.values()): one.value
        for family in text_string_to_metric_families(text)
        for one in family.samples
    }
    assert told["jupyter_alc_dms_moved_bytes_total", "local"] == 20 * BLOCK
    assert told["jupyter_alc_dms_needed_bytes_total", "local"] == 40 * BLOCK
    assert told["jupyter_alc_dms_requests_total", "local"] >= 1
    assert told["jupyter_alc_dms_fetch_seconds_count", "local"] >= 1
    assert told["jupyter_alc_dms_fetch_seconds_bucket", "local", "+Inf"] >= 1
    assert told["jupyter_alc_dms_cache_hits_total",] >= 1
    assert told["jupyter_alc_dms_cache_misses_total",] >= 1
    assert told["jupyter_alc_dms_checksum_failures_total",] == 0
    assert 20 * BLOCK <= told["jupyter_alc_dms_cache_bytes",] <= told["jupyter_alc_dms_cache_quota_bytes",]
    assert told["jupyter_alc_dms_transfers", "moving"] == 0
    assert "raw" not in text
