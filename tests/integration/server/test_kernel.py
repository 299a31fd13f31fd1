"""A real kernel of a real server: it finds the server, and the magics show what the server tells."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat
import pytest
from jupyter_client.blocking import BlockingKernelClient
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.integration


class Kernel:
    """A kernel that the server under test started itself."""

    def __init__(self, server: Any, id: str = "") -> None:
        self.server = server
        self.id = id or server.ask("POST", "api/kernels", {"name": "python3"}).json["id"]
        self.connect()

    def connect(self) -> None:
        """Wait until it answers; on a busy computer its heart may miss a beat meanwhile."""
        end = time.monotonic() + 60
        while True:
            self.client = BlockingKernelClient()
            self.client.load_connection_file(str(self.server.folder / "runtime" / f"kernel-{self.id}.json"))
            self.client.start_channels()
            try:
                self.client.wait_for_ready(timeout=60)
            except RuntimeError:
                self.client.stop_channels()
                if time.monotonic() > end:
                    raise
            else:
                return

    def run(
        self, code: str, seconds: float = 60, hear: Callable[[dict[str, Any]], object] = lambda output: None
    ) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """Run a cell; return its reply and its outputs' contents, each of which `hear` gets as it comes."""
        outputs: list[dict[str, Any]] = []

        def put_out(message: dict[str, Any]) -> None:
            outputs.append({"kind": message["msg_type"], **message["content"]})
            hear(outputs[-1])

        reply = self.client.execute_interactive(code, timeout=seconds, output_hook=put_out)
        return reply["content"], outputs

    def shown(self, code: str, seconds: float = 60) -> dict[str, str]:
        """The last thing a cell showed."""
        reply, outputs = self.run(code, seconds)
        assert reply["status"] == "ok", reply
        return next(one["data"] for one in reversed(outputs) if one["kind"] in {"execute_result", "display_data"})

    def close(self) -> None:
        self.client.stop_channels()
        self.server.ask("DELETE", f"api/kernels/{self.id}")


@pytest.fixture(scope="module")
def kernel(server: Any) -> Any:
    made = Kernel(server)
    made.run("%load_ext jupyter_alc")
    yield made
    made.close()


def test_the_kernel_finds_its_server_and_shows_the_data_in_text_and_html(kernel: Kernel) -> None:
    told = kernel.shown("%dms status")
    assert "results" in told["text/plain"]
    assert "<table>" in told["text/html"]
    assert "<b>of</b>" not in told["text/html"]


def test_a_folder_is_listed_and_results_are_flushed(kernel: Kernel) -> None:
    assert "run/" in kernel.shown("%dms ls results")["text/plain"]
    assert "at the archive" in kernel.shown("%dms flush")["text/plain"]


def test_a_folder_tells_where_its_bytes_are_and_a_plan_what_fetching_would_mean(kernel: Kernel) -> None:
    told = kernel.shown("%dms ls results/run")["text/plain"]
    assert "partly, 1 of 4 MB" in told
    plan = kernel.shown("%dms plan results/run")["text/plain"]
    assert plan.startswith("results/run: 2 files, 4 MB, 1 MB here already, 1 request, about 1 s.")
    assert "%dms fetch results/run moves 3 MB." in plan


def test_a_fetch_shows_a_bar_that_moves_and_leaves_its_last_word(kernel: Kernel) -> None:
    reply, outputs = kernel.run("%dms fetch results/run --limit 2MB")
    assert reply["status"] == "ok", reply
    bars = [one["data"] for one in outputs if one["kind"] in {"display_data", "update_display_data"}]
    assert "application/vnd.jupyter.widget-view+json" in bars[0]
    assert bars[0]["text/plain"].startswith("results/run: moving, 1 of 4 MB, 2 MB/s, ")
    assert bars[-1]["text/plain"] == "results/run: done, 4 MB, 3 MB moved"
    assert set(bars[-1]) == {"text/plain", "text/html"}, "nothing of a widget stays in the notebook"
    assert outputs[-2]["data"]["text/plain"] == "results/run: done, 4 MB, 3 MB moved."
    assert "done, 4 MB" in kernel.shown("%dms transfers")["text/plain"]
    assert "fetched" in kernel.shown("%dms history results")["text/plain"]


def test_an_interrupt_ends_the_waiting_and_not_the_transfer(kernel: Kernel) -> None:
    """S6."""
    kernel.run("alc_before = len(__import__('jupyter_alc').client().dms.transfers())")
    stop = threading.Timer(1.0, lambda: kernel.server.ask("POST", f"api/kernels/{kernel.id}/interrupt"))

    def once_there_is_a_bar(output: dict[str, Any]) -> None:
        if output["kind"] == "display_data" and not stop.ident:
            stop.start()

    reply, outputs = kernel.run("%dms fetch results --limit 100kB", hear=once_there_is_a_bar)
    stop.join()
    assert reply["ename"] == "KeyboardInterrupt"
    last = [one["data"] for one in outputs if one["kind"] == "update_display_data"][-1]
    id = last["text/plain"].rpartition(" cancel ")[2].split()[0]
    assert last["text/plain"] == f"results: goes on; %dms cancel {id} ends it"
    told = kernel.server.alc("GET", f"data/transfers/{id}").json
    assert told["state"] in {"moving", "done"}
    assert id in kernel.shown(f"%dms cancel {id}")["text/plain"] or told["state"] == "done"


def test_a_dataset_leaves_the_folder_and_comes_back(kernel: Kernel) -> None:
    assert "has left the folder" in kernel.shown("%dms unmount results")["text/plain"]
    assert "not in the folder" in kernel.shown("%dms status")["text/plain"]
    assert kernel.shown("%dms mount results")["text/plain"] == "results is in the folder."


def test_nobody_has_read_anything_yet(kernel: Kernel) -> None:
    assert "Nobody has read" in kernel.shown("%dms notebooks")["text/plain"]


def test_the_machine_is_shown(kernel: Kernel) -> None:
    assert "isolation" in kernel.shown("%vmm status")["text/plain"]


@pytest.mark.parametrize("part", ["dms", "piezo", "vmm"])
def test_the_magic_and_the_terminal_tell_one_story(kernel: Kernel, part: str) -> None:
    told = kernel.shown(f"%{part} status")["text/plain"].splitlines()
    _, outputs = kernel.run(f"import sys\n!{{sys.executable}} -m jupyter_alc.cli {part} status")
    said = "".join(one["text"] for one in outputs if one["kind"] == "stream").splitlines()
    moving = ("cores ", "memory ")  # the program that asks is itself in use
    assert [one for one in said if not one.startswith(moving)] == [one for one in told if not one.startswith(moving)]


@pytest.mark.parametrize(
    "code",
    [
        "%dms ls results/none",
        "%dms flush --deadline nan",
        "%dms plan results/none",
        "%dms fetch",
        "%dms fetch results --limit many",
        "%dms fetch results --connections 0",
        "%dms cancel transfer-99",
        "%dms mount nothing",
        "%dms history --limit 0",
        "%dms flush --deadline -1e308",
        "%dms ls one \x1b[31mtwo",
        "%piezo sing",
        "%piezo stop --name nobody",
        "%piezo start --workers 9",
    ],
)
def test_an_error_is_one_line_without_a_traceback(kernel: Kernel, code: str) -> None:
    reply, outputs = kernel.run(code)
    assert reply["status"] == "error"
    told = "".join(reply["traceback"]) or "".join(one["text"] for one in outputs if one["kind"] == "stream")
    assert "Traceback" not in told
    assert len(told.strip().splitlines()) == 1
    assert "\x1b[31m" not in told


def test_help_is_the_docstring(kernel: Kernel) -> None:
    assert "--workers" in kernel.shown("%piezo help")["text/plain"]
    reply, _ = kernel.run("%piezo?")
    assert "--workers" in reply["payload"][0]["data"]["text/plain"]


def test_completion_offers_our_words(kernel: Kernel) -> None:
    for code, word in [
        ("%piezo st", "start"),
        ("%piezo start --w", "--workers"),
        ("%dms ", "flush"),
        ("%dms fetch re", "results/"),
        ("%dms plan results/", "results/run/"),
        ("%dms ls results/run/r", "results/run/raw.nxs"),
        ("%dms unmount ", "results"),
        ("%dms fetch results/run/raw.nxs --l", "--limit"),
    ]:
        matches = kernel.client.complete(code, len(code), reply=True, timeout=30)["content"]["matches"]
        assert word in matches, (code, matches)


def test_a_cluster_without_a_reachable_spark_is_told_in_one_line_and_its_bar_says_so(kernel: Kernel) -> None:
    reply, outputs = kernel.run("%piezo start --name lonely")
    assert reply["status"] == "error"
    bars = [one["data"] for one in outputs if one["kind"] in {"display_data", "update_display_data"}]
    assert "application/vnd.jupyter.widget-view+json" in bars[0]
    assert bars[-1]["text/plain"] == "Cluster lonely: not started"
    assert set(bars[-1]) == {"text/plain", "text/html"}, "nothing of a widget stays in the notebook"
    assert "secret" not in str(outputs) + str(reply)
    assert "lonely" in kernel.shown("%piezo status")["text/plain"]
    assert "/ui/jobs/" in kernel.shown("%piezo ui --name lonely")["text/plain"]
    assert "is gone" in kernel.shown("%piezo stop --name lonely")["text/plain"]


def test_the_same_calls_work_from_python(kernel: Kernel) -> None:
    kernel.run("import jupyter_alc; alc = jupyter_alc.client()")
    reply, outputs = kernel.run("print(alc.dms.status()['datasets'][0]['id'], alc.vmm.status()['machine']['type'])")
    assert reply["status"] == "ok", reply
    assert outputs[-2]["text"].strip() == "results small" or any(
        one.get("text", "").strip() == "results small" for one in outputs
    )


def test_the_magics_can_be_taken_away_and_loaded_again(kernel: Kernel) -> None:
    kernel.run("%unload_ext jupyter_alc")
    assert kernel.run("%dms status")[0]["status"] == "error"
    kernel.run("%load_ext jupyter_alc")
    assert kernel.run("%dms status")[0]["status"] == "ok"


def notebook(*cells: str) -> Any:
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])


def run_notebook(server: Any, book: Any, **environment: str) -> Any:
    given = {**server.environment, **environment}
    client = NotebookClient(
        book, timeout=90, kernel_name="python3", resources={"metadata": {"path": str(server.folder)}}
    )
    client.execute(env=given)
    return book


def test_a_notebook_runs_under_the_hubs_variables_even_when_the_given_host_is_not_reachable(server: Any) -> None:
    port = server.url.split(":")[2].split("/")[0]
    environment = {
        "JUPYTERHUB_SERVICE_URL": f"http://host.invalid:{port}/a%40b/",
        "JUPYTERHUB_API_TOKEN": server.token,
    }
    book = run_notebook(server, notebook("%load_ext jupyter_alc", "%dms status", "%piezo status"), **environment)
    assert "results" in book.cells[1].outputs[0]["data"]["text/plain"]
    assert server.token not in nbformat.writes(book)


def test_a_notebook_without_a_server_says_what_to_do(server: Any) -> None:
    book = notebook("%load_ext jupyter_alc", "%dms status")
    with pytest.raises(CellExecutionError, match="ALC_SERVER_URL"):
        run_notebook(server, book, JUPYTER_RUNTIME_DIR=str(server.folder / "nothing"))


def test_importing_the_package_is_quick_and_brings_in_nothing_heavy() -> None:
    """Measured is the processor's time: what else the computer does is not ours."""
    code = """
import sys, time
before = set(sys.modules)
begun = time.process_time()
import jupyter_alc
took = time.process_time() - begun
foreign = {"tornado", "pyspark", "kubernetes", "libcloud", "aiohttp", "IPython", "traitlets", "sqlalchemy", "trio"}
heavy = foreign & set(sys.modules)
assert not heavy, heavy
print(took)
"""
    top = Path(__file__).resolve().parents[3]
    environment = {**os.environ, "PYTHONPATH": str(top)}
    took = [
        float(
            subprocess.run(
                [sys.executable, "-c", code], env=environment, check=True, capture_output=True, text=True, timeout=60
            ).stdout
        )
        for _ in range(5)
    ]
    assert min(took) < 0.1, took


def test_the_server_is_kept_alive_by_a_cluster_and_renews_its_lease(server: Any) -> None:
    made = server.alc("POST", "piezo/clusters", {"name": "kept"}).json["id"]
    try:
        end = time.monotonic() + 20
        while time.monotonic() < end:
            gauge = server.ask("GET", "metrics").body.decode()
            if "jupyter_alc_piezo_clusters 0.0" not in gauge:
                break
            time.sleep(0.2)
        assert "jupyter_alc_piezo_clusters 0.0" not in gauge
    finally:
        server.alc("DELETE", f"piezo/clusters/{made}")
