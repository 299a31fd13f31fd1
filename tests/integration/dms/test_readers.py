"""What scientists read with reads the same by `dms://` and the mount as from a local disk, and moves what it needs."""

import json
import shutil
import tempfile
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pyarrow.csv
import pyarrow.parquet
import pytest
import sasdata
import xarray
import zarr
from nexusformat.nexus import nxload
from sasdata.dataloader.loader import Loader

import nexus
from jupyter_alc.core.dataset import Access, MountedDataset
from jupyter_alc.dms.filesystem import DmsFileSystem
from jupyter_alc.testing.data_service import DataService

pytestmark = pytest.mark.integration

EXAMPLES = Path(sasdata.__file__).parent / "example_data"
CSV = "1d_data/Alumina_usaxs.csv"
TABULAR = ["1d_data/33837rear_1D_1.75_16.5_NXcanSAS.h5", "2d_data/33837rear_2D_1.75_16.5_NXcanSAS.h5"]
LOADED = [*TABULAR, "1d_data/ISIS_98929.TXT", "1d_data/Ludox_silica.xml", "1d_data/latex_smeared.xml"]
NEXUS = "instrument.nxs"
ROWS, GROUP = 400_000, 50_000


@pytest.fixture(scope="module", params=["no mount", pytest.param("mount", marks=[pytest.mark.root, pytest.mark.fuse])])
def service(request):
    """The example files and a Parquet table of eight groups, served."""
    with tempfile.TemporaryDirectory(prefix="alc-r-") as folder:
        place = Path(folder)
        shutil.copytree(EXAMPLES, place / "archive", ignore=shutil.ignore_patterns("*.py", "__pycache__"))
        noise = np.random.default_rng(1)
        columns = {"run": np.arange(ROWS), **{name: noise.random(ROWS) for name in ("q", "counts", "error", "mask")}}
        pyarrow.parquet.write_table(
            pyarrow.table(columns), place / "archive" / "table.parquet", row_group_size=GROUP, use_dictionary=False
        )
        nexus.make(place / "archive" / NEXUS, nexus.SMALL)
        raw = MountedDataset("sans", "Examples", "local", str(place / "archive"), Access.READ, published=True)
        running = DataService(place, [raw], mount=place / "data" if request.param == "mount" else None)
        try:
            assert running.start()["mounted"] is (request.param == "mount")
            yield running
        finally:
            running.stop()


@pytest.fixture
def local(service):
    return service.place / "archive"


@pytest.fixture
def opened(service):
    """Open a file by the door that is tested."""
    if service.mount is not None:
        return lambda path: (service.mount / "sans" / path).open("rb")
    fs = DmsFileSystem(socket=str(service.socket))
    return lambda path: fs.open(f"dms://sans/{path}")


def moved(service):
    return service.ask(lambda client: client.status())["datasets"][0]["moved_bytes"]


def test_every_example_file_has_the_same_bytes(local, opened):
    """R1, on everything there is in the archive."""
    files = [each.relative_to(local).as_posix() for each in local.rglob("*_*/*") if each.is_file()]
    assert len(files) > 100
    for path in files:
        with opened(path) as file:
            assert file.read() == (local / path).read_bytes(), path


@pytest.mark.parametrize("path", ["entry/detector"])
def test_zarr_reads_frames_as_locally(service, local, path):
    """Frames of the NeXus file as a store of many small files; a part of them, all, and what is filled in."""
    with h5py.File(local / NEXUS) as file:
        name, frames = next((n, one[:64]) for n, one in file[path].items() if getattr(one, "ndim", 0) == 3)
    if not (store := local / "frames.zarr").exists():
        array = zarr.create_array(
            store, shape=(80, *frames.shape[1:]), chunks=(8, *frames.shape[1:]), dtype=frames.dtype
        )
        array[: len(frames)] = frames
    if service.mount is None:
        seen = zarr.storage.FsspecStore(
            DmsFileSystem(socket=str(service.socket), asynchronous=True), path="sans/frames.zarr"
        )
    else:
        seen = service.mount / "sans/frames.zarr"
    ours, theirs = zarr.open_array(seen, mode="r"), zarr.open_array(store, mode="r")
    np.testing.assert_array_equal(ours[3:21, 5], theirs[3:21, 5])
    np.testing.assert_array_equal(ours[:], theirs[:])
    np.testing.assert_array_equal(ours[: len(frames)], frames, err_msg=name)


def test_pandas_and_pyarrow_read_a_csv_as_locally(local, opened):
    """Tables of text."""
    with opened(CSV) as file:
        pd.testing.assert_frame_equal(pd.read_csv(file), pd.read_csv(local / CSV))
    with opened(CSV) as file:
        assert pyarrow.csv.read_csv(file).equals(pyarrow.csv.read_csv(local / CSV))


@pytest.mark.parametrize("path", [*TABULAR, NEXUS])
def test_h5py_finds_every_dataset_and_attribute_as_locally(local, opened, path):
    """Small reads here and there."""
    with opened(path) as file, h5py.File(file) as ours, h5py.File(local / path) as theirs:
        assert contents(ours) == contents(theirs) != {}


def contents(file):
    found = {}

    def note(name, each):
        value = np.asarray(each[()]).tolist() if isinstance(each, h5py.Dataset) else None
        found[name] = json.dumps([value, {key: np.asarray(of).tolist() for key, of in each.attrs.items()}], default=str)

    file.visititems(note)
    return found


@pytest.mark.parametrize("group", ["entry/detector", "entry/bank1_events", "entry/logs/log_007"])
def test_xarray_opens_a_group_of_a_nexus_file_as_locally(local, opened, group):
    """Lazily, a part of it, and all of it."""
    with opened(NEXUS) as file, (local / NEXUS).open("rb") as same:
        options = {"engine": "h5netcdf", "group": group, "phony_dims": "sort"}
        with xarray.open_dataset(file, **options) as ours, xarray.open_dataset(same, **options) as theirs:
            first = next(iter(ours.dims))
            part = {first: slice(3, 9)}
            xarray.testing.assert_identical(ours.isel(part).load(), theirs.isel(part).load())
            xarray.testing.assert_identical(ours.load(), theirs.load())
            assert ours.sizes


@pytest.mark.root
@pytest.mark.fuse
@pytest.mark.parametrize("path", [*TABULAR, NEXUS])
def test_nexusformat_finds_the_same_tree_and_values_on_the_mount_as_locally(service, local, path):
    """The community's own reader takes names of files; its lock file cannot lie in a dataset that is read only."""
    if service.mount is None:
        pytest.skip("nexusformat takes the name of a local file, which only a mount gives")
    ours, theirs = (nxload(folder / path, mode="r") for folder in (service.mount / "sans", local))
    assert ours.tree.partition("\n")[2] == theirs.tree.partition("\n")[2] != ""
    values = [{name: one.nxdata for name, one in walked(root)} for root in (ours, theirs)]
    assert values[0].keys() == values[1].keys() != set()
    for name, value in values[0].items():
        np.testing.assert_array_equal(value, values[1][name])


def walked(root):
    """The fields of a tree by their paths."""
    return [(one.nxpath, one) for one in root.walk() if type(one).__name__ == "NXfield"]


def test_a_part_of_a_parquet_table_moves_that_part(service, local, opened):
    """One column of one row group, by the footer (R11): 50,000 rows of 400,000, one column of five."""
    path = "table.parquet"
    before = moved(service)
    with opened(path) as file:
        table = pyarrow.parquet.ParquetFile(file, pre_buffer=False)
        got = table.read_row_group(3, columns=["counts"])
    came, size = moved(service) - before, (local / path).stat().st_size
    assert got.equals(pyarrow.parquet.ParquetFile(local / path).read_row_group(3, columns=["counts"]))
    print(
        json.dumps({"door": "mount" if service.mount else "dms://", "moved": came, "file": size, "column": got.nbytes})
    )
    assert came <= got.nbytes + 1_000_000 < size / 8


def test_a_filter_on_rows_reads_the_same_rows(local, opened):
    """Filters pushed down to row groups; a pandas frame of them."""
    wanted = [("run", ">=", 120_000), ("run", "<", 120_010)]
    with opened("table.parquet") as file:
        got = pd.read_parquet(file, filters=wanted)
    pd.testing.assert_frame_equal(got, pd.read_parquet(local / "table.parquet", filters=wanted))


@pytest.mark.root
@pytest.mark.fuse
@pytest.mark.parametrize("path", LOADED)
def test_sasdata_loads_from_the_mount_as_locally(service, local, path):
    """The loader of the community takes names of files."""
    if service.mount is None:
        pytest.skip("sasdata's loader takes the name of a local file, which only a mount gives")
    ours, theirs = (Loader().load(str(folder / path)) for folder in (service.mount / "sans", local))
    assert len(ours) == len(theirs) > 0
    for got, expected in zip(ours, theirs, strict=True):
        for name in ("x", "y", "dy", "data", "qx_data"):
            np.testing.assert_array_equal(getattr(got, name, None), getattr(expected, name, None))
