"""Bytes per notebook: real kernels of a real server read through a real mount and `dms://`. Quotes S2 to S4."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

import pytest

from jupyter_alc.core.dataset import Access, MountedDataset
from jupyter_alc.testing.data_service import DataService
from tests.integration.server.conftest import as_described, jupyter_environment, start_server, stop_server
from tests.integration.server.test_kernel import Kernel
from tests.integration.server.test_spark import remove_sockets, short_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.integration.server.conftest import Running

pytestmark = [pytest.mark.integration, pytest.mark.fuse]

MIB = 1 << 20


class Notebook(Kernel):
    """A kernel that belongs to a notebook, as Lab starts it."""

    def __init__(self, server: Running, path: str) -> None:
        told = {"path": path, "name": path, "type": "notebook", "kernel": {"name": "python3"}}
        self.session = server.ask("POST", "api/sessions", told).json
        super().__init__(server, self.session["kernel"]["id"])

    def restart(self) -> None:
        """As Lab's button does."""
        self.client.stop_channels()
        assert self.server.ask("POST", f"api/kernels/{self.id}/restart").status == 200
        self.connect()


@pytest.fixture(scope="module")
def with_mount(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Running, DataService]]:
    folder, short = tmp_path_factory.mktemp("notebooks"), short_folder()
    archive = folder / "archive"
    archive.mkdir()
    for name in ("one", "two", "three"):
        (archive / f"{name}.bin").write_bytes(os.urandom(MIB))
    dataset = MountedDataset("raw", "Raw", "local", f"file://{archive}", Access.READ, size_bytes=3 * MIB)
    service = DataService(short, [dataset], mount=folder / "mnt")
    server: Running | None = None
    try:
        assert service.start()["mounted"] in {True, False}
        environment = jupyter_environment(folder, ALC_DMS_SOCKET=str(service.socket))
        config = folder / "config" / "jupyter_server_config.py"
        config.write_text(
            'c.ServerApp.jpserver_extensions = {"jupyter_alc": True}\nc.AlcExtension.data_seconds = 0.5\n'
        )
        server = start_server(folder, environment)
        yield server, service
    finally:
        if server is not None:
            stop_server(server)
        service.stop()
        remove_sockets(short)


def figures(server: Running) -> tuple[dict[str, tuple[int, int, int]], dict[str, tuple[int, int, int]]]:
    told = server.alc("GET", "data/notebooks").json
    names = ("needed_bytes", "moved_bytes", "cached_bytes")
    notebooks = {one["path"]: tuple(one[name] for name in names) for one in told["notebooks"]}
    return notebooks, {one["name"]: tuple(one[name] for name in names) for one in told["others"]}  # type: ignore[misc]


def test_each_notebooks_bytes_are_its_own_by_both_doors_and_over_restarts(with_mount: Any) -> None:
    """S2, S3, S4."""
    server, service = with_mount
    mount, files = service.mount, "len(open('{}', 'rb').read())"
    first, second = Notebook(server, "first.ipynb"), Notebook(server, "work/second.ipynb")
    try:
        first.run(files.format(mount / "raw/one.bin"))
        assert figures(server)[0] == {"first.ipynb": (MIB, MIB, 0)}
        second.run("import fsspec\nlen(fsspec.filesystem('dms').cat_file('raw/one.bin'))")
        assert figures(server)[0]["work/second.ipynb"] == (MIB, 0, MIB), "the other's bytes were here already"
        first.run("import subprocess\nsubprocess.run(['cat', '{}'], stdout=-3)".format(mount / "raw/two.bin"))
        assert figures(server)[0]["first.ipynb"][0] == 2 * MIB, "a program it starts counts for it"
        time.sleep(1.0)  # the server has looked at its kernels
        first.restart()
        first.run(files.format(mount / "raw/three.bin"))
        notebooks, others = figures(server)
        assert notebooks["first.ipynb"] == (3 * MIB, 3 * MIB, 0), "a restarted kernel's bytes still count"
        assert others == {}
        (dataset,) = server.alc("GET", "data").json["datasets"]
        assert (dataset["needed_bytes"], dataset["moved_bytes"]) == (4 * MIB, 3 * MIB)
        assert dataset["from_cache_bytes"] == MIB
        shown = second.shown("%load_ext jupyter_alc\n%dms notebooks")["text/plain"]
        assert "work/second.ipynb  1 MB    0 B     1 MB" in shown
    finally:
        first.close()
        second.close()


def test_a_reader_that_is_no_notebook_is_told_apart(with_mount: Any) -> None:
    """S4."""
    server, _ = with_mount
    alone = Kernel(server)
    try:
        alone.run("import fsspec\nlen(fsspec.filesystem('dms').cat_file('raw/two.bin'))")
        notebooks, others = figures(server)
        assert "first.ipynb" in notebooks, "one that was closed is still told"
        assert others["a kernel without a notebook"] == (MIB, 0, MIB)
    finally:
        alone.close()


def test_what_the_real_service_tells_is_as_described(with_mount: Any) -> None:
    server, _ = with_mount
    as_described(server.alc("GET", "data").json, "Data")
    as_described(server.alc("GET", "data/plan?path=raw").json, "Plan")
    begun = server.alc("POST", "data/transfers", {"paths": ["raw"]})
    assert begun.status == 201
    as_described(begun.json, "Transfer")
    end = time.monotonic() + 30
    while (told := server.alc("GET", f"data/transfers/{begun.json['id']}").json)["state"] != "done":
        assert time.monotonic() < end, told
        time.sleep(0.1)
    as_described(told, "Transfer")
    for entry in server.alc("GET", "data/files?path=raw").json["entries"]:
        as_described(entry, "PlacedEntry")
        assert entry["state"] == "cached"
    events = server.alc("GET", "data/history?path=raw&limit=5").json["events"]
    assert events[0]["what"] == "fetched"
    for event in events:
        as_described(event, "DataEvent")
    as_described(server.alc("DELETE", "data/mounts/raw").json, "Mount")
    assert server.alc("GET", "data").json["datasets"][0]["mounted"] is False
    assert server.alc("GET", "data/ls?path=raw").status == 404
    assert server.alc("POST", "data/mounts", {"dataset": "raw"}).json["mounted"] is True


def test_the_services_counts_stand_in_the_servers_own_metrics(with_mount: Any) -> None:
    """S7."""
    server, _ = with_mount
    time.sleep(1.0)
    text = server.ask("GET", "metrics").body.decode()
    assert 'jupyter_alc_dms_moved_bytes_total{adapter="local"}' in text
    assert 'jupyter_alc_dms_transfers{state="done"} 1.0' in text
    assert "raw" not in "".join(line for line in text.splitlines() if "jupyter_alc_dms" in line)
