"""`spark.read.format("dms")` in a Spark of its own, on a real data service."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest

from jupyter_alc.core.dataset import Access, MountedDataset
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

spark = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false").getOrCreate()
spark.dataSource.register(DmsSource)
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
    """Over Spark Connect, from the session that everybody gets; a found-again session knows it as well."""
    (tmp_path / "archive").mkdir()
    pd.DataFrame({"run": range(100)}).to_csv(tmp_path / "archive" / "runs.csv", index=False)
    raw = MountedDataset("raw", "Raw", "local", str(tmp_path / "archive"), Access.READ, published=True)
    service = DataService(tmp_path / "d", [raw])
    service.place.mkdir()
    try:
        service.start()
        ground = own_ground(ALC_DMS_SOCKET=str(service.socket))
        cluster = ground.start("reads", name="reads")
        connection = run(ground.clusters.connection(cluster.id))
        told = python(CONNECTED, {}, connection["connect_url"])
    finally:
        service.stop()
    assert told == [sum(range(100))] * 2


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
