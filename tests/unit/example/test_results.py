"""What a run leaves behind."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path

import nbformat
import pandas as pd
import pytest
from matplotlib.figure import Figure

from jupyter_alc.example import job, plots, results
from jupyter_alc.example.curves import read_curves

pytestmark = pytest.mark.unit

MADE = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
SPHERES = Path(str(files("sasdata"))) / "example_data/1d_data/100nmSpheresNodQ.txt"
NOTEBOOK = Path(str(files("jupyter_alc"))) / "example/notebooks/sans_guinier.ipynb"


@pytest.fixture
def table() -> pd.DataFrame:
    return pd.DataFrame(job.analyse_file(str(SPHERES), SPHERES.name), columns=list(job.COLUMNS))


def written(folder: Path, table: pd.DataFrame) -> dict[str, object]:
    figure = Figure()
    plots.draw_radii(figure.add_subplot(), table)
    other = Figure()
    plots.draw_guinier(other.add_subplot(), read_curves(SPHERES.name, SPHERES.read_bytes()))
    listed = job.inputs(str(SPHERES))
    return results.write_results(folder, table, {"radii": figure, "guinier": other}, listed, made=MADE)


def test_a_run_is_five_files_and_the_manifest_names_them_with_checksums(tmp_path: Path, table: pd.DataFrame) -> None:
    written(tmp_path / "run", table)
    manifest = json.loads((tmp_path / "run/manifest.json").read_text())
    names = {told["file"] for told in manifest["results"]}
    assert names == {"rg.parquet", "rg.csv", "radii.png", "guinier.png"}
    for told in manifest["results"]:
        content = (tmp_path / "run" / told["file"]).read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (told["size_bytes"], told["sha256"])


def test_the_manifest_names_inputs_versions_criterion_and_software(tmp_path: Path, table: pd.DataFrame) -> None:
    manifest = written(tmp_path / "run", table)
    (told,) = manifest["inputs"]  # type: ignore[misc]
    assert (told["file"], told["size_bytes"]) == (SPHERES.name, SPHERES.stat().st_size)
    assert told["version"]
    assert "1.3" in str(manifest["criterion"])
    assert manifest["software"]["sasdata"] == "0.11.0"  # type: ignore[index]


def test_parquet_and_csv_hold_the_same_table(tmp_path: Path, table: pd.DataFrame) -> None:
    written(tmp_path / "run", table)
    parquet = pd.read_parquet(tmp_path / "run/rg.parquet")
    csv = pd.read_csv(tmp_path / "run/rg.csv", keep_default_na=False, na_values={"rg": "", "chi2": ""})
    assert list(parquet.columns) == list(csv.columns) == list(job.COLUMNS)
    assert parquet["rg"].tolist() == pytest.approx(csv["rg"].tolist())


def test_a_run_is_never_overwritten(tmp_path: Path, table: pd.DataFrame) -> None:
    written(tmp_path / "run", table)
    with pytest.raises(FileExistsError):
        written(tmp_path / "run", table)


def test_the_shipped_notebook_is_valid_and_holds_no_output() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(not cell.outputs and cell.execution_count is None for cell in code)
    assert any("parameters" in cell.metadata.get("tags", []) for cell in code)
