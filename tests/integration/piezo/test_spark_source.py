"""`spark.read.format("dms")` in a Spark of its own, on a real data service."""

import json
import os
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest

from jupyter_alc.core.dataset import Access, MountedDataset
from jupyter_alc.dms.filesystem import DmsFileSystem
from jupyter_alc.testing.backends import run
from jupyter_alc.testing.data_service import DataService

pytestmark = pytest.mark.spark

CONNECTED = """
import json, sys
from jupyter_alc.piezo.frameworks.spark import SparkFramework

told = []
for _ in range(2):
    spark = SparkFramework().connect(sys.argv[1], name="reads")
    told.append(spark.read.format("dms").load("dms://raw/runs.csv").selectExpr("sum(run)").first()[0])
print(json.dumps(told))
spark.stop()
"""
CODE = """
import json
from pyspark.sql import SparkSession
from jupyter_alc.piezo.frameworks.spark_source import DmsSource

spark = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false")
spark = spark.config("spark.driver.bindAddress", "127.0.0.1").config("spark.driver.host", "127.0.0.1").getOrCreate()
DmsSource.register(spark)
read = lambda: spark.read.format("dms").option("partitionBytes", "20000")
csv, parquet = read().load("dms://raw/csv/*.csv"), read().load("dms://raw/parquet")
one = read().schema("q double").load("dms://raw/parquet")
binary = read().option("format", "binary").load("dms://raw/csv")
print(json.dumps({
    "csv": [csv.columns, csv.count(), csv.selectExpr("sum(run)").first()[0], csv.rdd.getNumPartitions()],
    "parquet": [parquet.count(), parquet.selectExpr("sum(run)").first()[0], parquet.rdd.getNumPartitions()],
    "one": [one.columns, one.count()],
    "binary": sorted([row.path, row.size, len(row.content)] for row in binary.collect()),
}))
spark.stop()
"""


def python(code, more, *words):
    """What a Python of its own prints last, as JSON; pyspark leaves notes for itself in the environment."""
    kept = {name: text for name, text in os.environ.items() if not name.startswith(("SPARK_", "PYSPARK_"))}
    done = subprocess.run(
        [sys.executable, "-c", code, *words], env={**kept, "PYTHONPATH": str(Path(__file__).parents[3]), **more},
        capture_output=True, text=True, timeout=150, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_a_session_of_a_cluster_knows_the_source(own_ground, tmp_path):
    """Over Spark Connect, from the session that everybody gets; a found-again session knows it as well.

    What Python read before does not move again (F9).
    """
    (tmp_path / "archive").mkdir()
    pd.DataFrame({"run": range(100)}).to_csv(tmp_path / "archive" / "runs.csv", index=False)
    text = (tmp_path / "archive" / "runs.csv").read_bytes()
    raw = MountedDataset("raw", "Raw", "local", str(tmp_path / "archive"), Access.READ, published=True)
    service = DataService(tmp_path / "d", [raw])
    service.place.mkdir()
    try:
        service.start()
        assert DmsFileSystem(socket=str(service.socket), skip_instance_cache=True).cat_file("raw/runs.csv") == text
        ground = own_ground(ALC_DMS_SOCKET=str(service.socket))
        cluster = ground.start("reads", name="reads")
        connection = run(ground.clusters.connection(cluster.id))
        told = python(CONNECTED, {}, connection["connect_url"])
        (dataset,) = service.ask(lambda client: client.status())["datasets"]
    finally:
        service.stop()
    assert told == [sum(range(100))] * 2
    assert dataset["moved_bytes"] == len(text) < dataset["needed_bytes"]


def test_many_files_are_one_table_read_in_parts(tmp_path):
    """CSV by ranges of lines, Parquet by row groups and columns, and any file as its bytes."""
    frames = [pd.DataFrame({"run": np.arange(5000) + 5000 * each, "q": np.arange(5000) / 7}) for each in range(3)]
    for folder in ("csv", "parquet"):
        (tmp_path / "archive" / folder).mkdir(parents=True)
    for number, frame in enumerate(frames):
        frame.to_csv(tmp_path / "archive" / "csv" / f"{number}.csv", index=False)
        place = tmp_path / "archive" / "parquet" / f"{number}.parquet"
        pyarrow.parquet.write_table(pa.Table.from_pandas(frame), place, row_group_size=1000)
    raw = MountedDataset("raw", "Raw", "local", str(tmp_path / "archive"), Access.READ, published=True)
    service = DataService(tmp_path, [raw])
    try:
        service.start()
        told = python(CODE, {"ALC_DMS_SOCKET": str(service.socket), "PYSPARK_PYTHON": sys.executable})
    finally:
        service.stop()
    assert told["csv"][:3] == [["run", "q"], 15_000, sum(range(15_000))]
    assert told["csv"][3] > 3
    assert told["parquet"][:2] == [15_000, sum(range(15_000))]
    assert told["parquet"][2] > 3
    assert told["one"] == [["q"], 15_000]
    sizes = [(tmp_path / "archive" / "csv" / f"{number}.csv").stat().st_size for number in range(3)]
    assert told["binary"] == [[f"dms://raw/csv/{number}.csv", size, size] for number, size in enumerate(sizes)]


HDF5 = """
import json, os, sys
from pyspark.sql import SparkSession
from jupyter_alc.piezo.frameworks.spark_source import DmsSource

spark = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false")
spark = spark.config("spark.driver.bindAddress", "127.0.0.1").config("spark.driver.host", "127.0.0.1").getOrCreate()
DmsSource.register(spark)
runs = spark.read.format("dms").option("columns", "entry/run, title=entry/title, mean=entry/data/counts@mean")
runs = runs.load("dms://raw/runs")
frames = spark.read.format("dms").option("columns", "entry/title, entry/data/counts, entry/data/time")
frames = frames.option("explode", "counts,time").option("partitionBytes", "2000000").load("dms://raw/large.nxs")
options = {"columns": "entry/data/counts", "explode": "counts", "partitionBytes": "2000000"}
two = spark.read.format("dms").options(**options, where="row >= 60 and row < 62").load("dms://raw/large.nxs")
cold = [row.counts[0][:3] for row in two.select("counts").collect()]
last = spark.read.format("dms").options(**options, where="row > 77").load("dms://raw/large.nxs")
told = os.popen(sys.argv[1]).read().split()[-1]
print(json.dumps({
    "runs": [runs.count(), runs.where("run > 17").selectExpr("sum(run)").first()[0]],
    "schema": frames.dtypes,
    "cold": cold,
    "moved": int(told),
    "frames": [frames.count(), frames.where("time < 3").count(), frames.selectExpr("sum(time)").first()[0]],
    "last": last.count(),
    "parts": [frames.rdd.getNumPartitions(), two.rdd.getNumPartitions()],
}))
try:
    spark.read.format("dms").option("columns", "entry/nothing").load("dms://raw/runs").count()
except Exception as error:
    assert "dms://raw/runs/00.nxs has no entry/nothing" in str(error), error
else:
    raise AssertionError("a column that is not there was no error")
spark.stop()
"""
MOVED = "import sys,fsspec;print(sum(one['moved_bytes'] for one in fsspec.filesystem('dms').status()['datasets']))"


def write_runs(top):
    (top / "runs").mkdir(parents=True)
    for number in range(20):
        with h5py.File(top / "runs" / f"{number:02}.nxs", "w") as file:
            file["entry/run"], file["entry/title"] = [number], f"run {number}"
            file["entry/data/counts"] = np.full((10, 10), number, "u2")
            file["entry/data/counts"].attrs["mean"] = float(number)
    counts = np.random.default_rng(1).integers(0, 60_000, (80, 400, 400), "u2")
    with h5py.File(top / "large.nxs", "w") as file:
        file["entry/title"] = "large"
        file.create_dataset("entry/data/counts", data=counts, chunks=(1, 400, 400))
        file["entry/data/time"] = np.arange(80.0)
    return counts


def test_nexus_files_are_tables_and_only_what_is_wanted_moves(tmp_path):
    """Rows by file and by frame, `where` before bytes are fetched, errors that name file and path (F4 to F9)."""
    counts = write_runs(tmp_path / "archive")
    raw = MountedDataset("raw", "Raw", "local", str(tmp_path / "archive"), Access.READ, published=True)
    service = DataService(tmp_path, [raw])
    try:
        service.start()
        more = {"ALC_DMS_SOCKET": str(service.socket), "PYSPARK_PYTHON": sys.executable}
        told = python(HDF5, more, f'{sys.executable} -c "{MOVED}"')
    finally:
        service.stop()
    assert told["runs"] == [20, 18 + 19]
    assert told["schema"] == [
        ["path", "string"], ["row", "bigint"], ["title", "string"], ["counts", "array<array<int>>"], ["time", "double"],
    ]  # fmt: skip
    assert told["cold"] == counts[60:62, 0, :3].tolist()
    assert told["moved"] < 2 * counts[0].nbytes + 1_500_000  # of 25.6 MB
    assert told["frames"] == [80, 3, float(sum(range(80)))]
    assert told["last"] == 2
    assert told["parts"][0] > 5
    assert told["parts"][1] == 1


SUM = """
import json
from pyspark.sql import SparkSession
from jupyter_alc.piezo.frameworks.spark_source import DmsSource

spark = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false")
spark = spark.config("spark.driver.bindAddress", "127.0.0.1").config("spark.driver.host", "127.0.0.1").getOrCreate()
DmsSource.register(spark)
frames = spark.read.format("dms").option("columns", "entry/data/counts").option("explode", "counts")
frames = frames.load("dms://raw/large.nxs")
print(json.dumps(list(frames.selectExpr("sum(array_size(counts))", "sum(counts[7][9])").first())))
spark.stop()
"""


@pytest.mark.fuse
def test_f9_mount_python_and_spark_fetch_a_file_once(tmp_path):
    """One node, three doors, one cache: each byte of the file is counted once."""
    counts = write_runs(tmp_path / "archive")
    raw = MountedDataset("raw", "Raw", "local", str(tmp_path / "archive"), Access.READ, published=True)
    service = DataService(tmp_path, [raw], mount=tmp_path / "mount")
    service.mount.mkdir()
    size = (tmp_path / "archive" / "large.nxs").stat().st_size
    try:
        service.start()
        more = {"ALC_DMS_SOCKET": str(service.socket), "PYSPARK_PYTHON": sys.executable}
        with h5py.File(service.mount / "raw" / "large.nxs") as file:
            assert np.array_equal(file["entry/data/counts"][:40], counts[:40])
        by_python = (
            "import json,fsspec,h5py\n"
            "with fsspec.open('dms://raw/large.nxs') as f: print(int(h5py.File(f)['entry/data/counts'][20:60].sum()))"
        )
        assert python(by_python, more) == int(counts[20:60].sum())
        assert python(SUM, more) == [80 * 400, int(counts[:, 7, 9].sum())]
        moved = python(MOVED, more)
    finally:
        service.stop()
    assert moved <= size * 1.02 + 65_536
