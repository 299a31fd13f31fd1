"""The analysis on the files of the example archive, as the sasdata package brings them."""

from __future__ import annotations

import math
from importlib.resources import files
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest

from jupyter_alc.core.errors import BadInput
from jupyter_alc.example import frame, job, results
from jupyter_alc.example.curves import read_curves

pytestmark = pytest.mark.unit

EXAMPLES = Path(str(files("sasdata"))) / "example_data"
CURVES = EXAMPLES / "1d_data"
FRAME = EXAMPLES / "2d_data" / "BAM_2D.h5"


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    listed = job.inputs(str(CURVES))
    return pd.concat(job.analyse(iter([listed])), ignore_index=True)


def test_every_file_and_every_curve_has_its_row(table: pd.DataFrame) -> None:
    told = results.counts(table)
    assert told["files"] == 54
    assert told["files_refused"] == 0
    assert told["curves"] == 294
    assert told["curves_with_radius"] + told["curves_without_radius"] == told["curves"]


def test_at_least_sixty_curves_have_a_radius_and_all_others_a_reason(table: pd.DataFrame) -> None:
    assert table["rg"].notna().sum() >= 60
    assert (table.loc[table["rg"].isna(), "reason"] != "").all()
    assert (table.loc[table["rg"].notna(), "reason"] == "").all()


def test_every_radius_meets_the_criterion(table: pd.DataFrame) -> None:
    found = table[table["rg"].notna()]
    assert (found["q_max_used"] * found["rg"] <= 1.3).all()
    assert (found["points_used"] >= 5).all()
    assert (found["rg_error"] >= 0).all()


@pytest.mark.parametrize(
    ("file", "radius"),
    [
        ("100nmSpheresNodQ.txt", 500),
        ("100nmPinholeSphere.txt", 500),
        ("10000A_sphere_dsm.xml", 10_000),
        ("sphere_80.txt", 80),
        ("sphere_60_q0_2.txt", 60),
    ],
)
def test_a_sphere_of_known_size_comes_out_right(table: pd.DataFrame, file: str, radius: float) -> None:
    """A solid sphere's radius of gyration is sqrt(3/5) of its radius."""
    found = table[table["file"] == file].iloc[0]
    assert found["rg"] == pytest.approx(math.sqrt(3 / 5) * radius, rel=0.05)
    assert not found["weak"]


def test_q_of_a_format_in_inverse_nanometres_is_converted(table: pd.DataFrame) -> None:
    found = table[table["file"] == "saxess_example.pdh"].iloc[0]
    assert found["q_unit"] == "1/nm"
    assert found["q_min"] == pytest.approx(0.0072644)


def test_a_file_the_loader_refuses_gives_one_row_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("not a curve at all\n")
    (rows,) = [job.analyse_file(str(tmp_path / "notes.txt"), "notes.txt")]
    assert len(rows) == 1
    assert rows[0]["curve"] == 0
    assert "sasdata reads no curve here" in rows[0]["reason"]
    assert str(tmp_path) not in rows[0]["reason"]


def test_a_file_that_is_gone_gives_one_row_with_the_reason(tmp_path: Path) -> None:
    rows = job.analyse_file(str(tmp_path / "gone.txt"), "gone.txt")
    assert [row["curve"] for row in rows] == [0]
    assert rows[0]["reason"]


def test_a_two_dimensional_file_is_no_curve() -> None:
    with pytest.raises(BadInput, match="no curve"):
        read_curves("BAM_2D.h5", FRAME.read_bytes())


def test_the_frame_average_is_that_of_the_middle() -> None:
    with h5py.File(FRAME, "r") as file:
        whole = file[frame.INTENSITY][()]
    assert frame.central_average(FRAME) == pytest.approx(np.nanmean(whole[402:662, 385:645]))


def test_the_window_touches_a_small_part_of_the_file() -> None:
    """Rows 402 to 661 and columns 385 to 644 lie in 4 x 5 chunks of 67 x 65."""
    need = frame.touched(FRAME)
    assert need.chunks == 20
    assert 0 < need.total_bytes < 0.1 * FRAME.stat().st_size


def test_inputs_carry_size_and_version() -> None:
    listed = job.inputs(str(CURVES)).set_index("file")
    assert listed.loc["VTMA.h5", "size_bytes"] == (CURVES / "VTMA.h5").stat().st_size
    assert (listed["version"] != "").all()


def test_an_archives_token_is_preferred_to_the_time() -> None:
    assert job.version({"mtime": 1.0, "token": "w:17"}) == "w:17"
    assert job.version({"mtime": 1.0}) == "mtime:1.0"
    assert job.version({}) == ""
