"""A scan over very many HDF5 files: Spark through `dms`, beside a plain loop on the same files local."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import h5py

from bench.reading import plant
from bench.reading.measuring import Stretch
from day.report import require

if TYPE_CHECKING:
    from bench.reading.clients import Mounted
    from bench.reading.works import Figures, Scene

CHECKOUT: Final = Path(__file__).parents[3]
SECONDS: Final = 400
CODE: Final = """
import json, sys, time
from pyspark.sql import SparkSession
from jupyter_alc.piezo.frameworks.spark_source import DmsSource

cores, address, events, angle = sys.argv[1:]
began = time.perf_counter()
spark = (
    SparkSession.builder.master(f"local[{cores}]").config("spark.ui.enabled", "false")
    .config("spark.sql.shuffle.partitions", cores).getOrCreate()
)
spark.sparkContext.setLogLevel("ERROR")
DmsSource.register(spark)
spark.range(8).rdd.map(lambda row: row.id).count()
told = {"start": time.perf_counter() - began}
for kind in ("cold", "again"):
    since = time.perf_counter()
    table = spark.read.format("dms").option("columns", f"events={events},angle={angle}").load(address)
    added = "sum(aggregate(events, 0L, (sum, one) -> sum + one))"
    files, rows, total = table.selectExpr("count(distinct angle)", "sum(size(events))", added).first()
    told[kind] = time.perf_counter() - since
told |= {"files": files, "rows": rows, "total": total, "tasks": table.rdd.getNumPartitions()}
print(json.dumps(told))
spark.stop()
"""


def scan(scene: Scene, on: Mounted, *, cores: int) -> Figures:
    """Add up one column of all files, cold and again; who has no socket of ours does so in a plain loop."""
    if on.socket is None:
        return _loop(scene, on.folder / plant.SCAN)
    address = f"dms://bench/{plant.SCAN}"
    with Stretch(scene.proxy, on.pid) as took:
        told = _spark(on.socket, str(cores), address, plant.EVENTS, plant.ANGLE)
    _right(scene, told["files"], told["rows"], told["total"])
    return {
        "cold s": told["cold"], "again s": told["again"], "Spark's start s": told["start"], "tasks": told["tasks"],
        "moved / asked": took.moved.down / (told["rows"] * 4), "requests": took.moved.requests,
        "daemon CPU-s": took.cpu,
    }  # fmt: skip


def _loop(scene: Scene, folder: Path) -> Figures:
    figures = {}
    for kind in ("cold s", "again s"):
        since = time.perf_counter()
        files = rows = total = 0
        for file in sorted(folder.iterdir()):
            with h5py.File(file, "r") as point:
                events = point[plant.EVENTS][...]
            files, rows, total = files + 1, rows + len(events), total + int(events.sum(dtype="i8"))
        figures[kind] = time.perf_counter() - since
        _right(scene, files, rows, total)
    return figures


def _right(scene: Scene, files: int, rows: int, total: int) -> None:
    sizes = scene.sizes
    wanted = sizes.scan_files, sizes.scan_files * sizes.scan_events, plant.events_total(sizes)
    require((files, rows, total) == wanted, f"the scan found {(files, rows, total)}, not {wanted}")


def _spark(socket: Path, *words: str) -> Any:
    """What a Spark of its own prints; pyspark leaves notes for itself in the environment."""
    kept = {name: text for name, text in os.environ.items() if not name.startswith(("SPARK_", "PYSPARK_"))}
    kept |= {"PYTHONPATH": str(CHECKOUT), "ALC_DMS_SOCKET": str(socket), "PYSPARK_PYTHON": sys.executable}
    done = subprocess.run(
        [sys.executable, "-c", CODE, *words], env=kept, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    require(done.returncode == 0, f"Spark ended with {done.returncode}: {done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])
