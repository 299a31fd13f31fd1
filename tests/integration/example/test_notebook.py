"""The shipped notebook runs, on a local Spark Connect session and a plain folder instead of cluster and archive."""

from __future__ import annotations

import json
import sys
from importlib.resources import files
from pathlib import Path

import nbformat
import pandas as pd
import pytest
from nbclient import NotebookClient

pytestmark = [pytest.mark.integration, pytest.mark.spark, pytest.mark.timeout(300)]

NOTEBOOK = Path(str(files("jupyter_alc"))) / "example/notebooks/sans_guinier.ipynb"
EXAMPLES = Path(str(files("sasdata"))) / "example_data"
LOCAL_SPARK = """
from pyspark.sql import SparkSession
spark = SparkSession.builder.remote("local[2]").getOrCreate()
"""


def without_services(mount: Path) -> nbformat.NotebookNode:
    """The notebook with its magics left out, its parameters set, and a local session for the cluster's."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    kept = [cell for cell in notebook.cells if not cell.source.startswith("%")]
    place = next(number for number, cell in enumerate(kept) if cell.id == "parameters")
    kept[place].source = f"DATA = {str(EXAMPLES)!r}\nMOUNT = {str(mount)!r}"
    start = nbformat.v4.new_code_cell(LOCAL_SPARK)
    stop = nbformat.v4.new_code_cell("spark.stop()")
    notebook.cells = [*kept[: place + 1], start, *kept[place + 1 :], stop]
    return notebook


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_the_notebook_runs_and_leaves_its_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import jupyter_alc

    monkeypatch.setenv("PYTHONPATH", str(Path(jupyter_alc.__file__).parents[1]))
    monkeypatch.setenv("SPARK_LOCAL_IP", "127.0.0.1")
    monkeypatch.setenv("PYSPARK_PYTHON", sys.executable)
    scratch = tmp_path / "scratch"  # Java and Spark litter; here it goes with the test
    scratch.mkdir()
    for name in ("TMPDIR", "SPARK_LOCAL_DIRS"):
        monkeypatch.setenv(name, str(scratch))
    monkeypatch.setenv("JDK_JAVA_OPTIONS", f"-Djava.io.tmpdir={scratch} -XX:-UsePerfData")
    mount = tmp_path / "data"
    (mount / "results").mkdir(parents=True)
    (mount / "sans-examples").symlink_to(EXAMPLES)
    notebook = without_services(mount)
    NotebookClient(notebook, timeout=240, resources={"metadata": {"path": str(tmp_path)}}).execute()

    (run,) = (mount / "results").iterdir()
    manifest = json.loads((run / "manifest.json").read_text())
    assert manifest["counts"]["files"] == 54
    assert manifest["counts"]["curves"] == 294
    assert manifest["counts"]["curves_with_radius"] >= 60
    assert len(manifest["inputs"]) == 54
    assert manifest["measured"]["central_average_per_metre"] == pytest.approx(15618.4, rel=1e-4)
    assert len(pd.read_parquet(run / "rg.parquet")) == 294
    pictures = [
        output for cell in notebook.cells for output in cell.get("outputs", []) if "image/png" in output.get("data", {})
    ]
    assert len(pictures) == 2
