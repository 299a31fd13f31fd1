"""`%piezo start` in a machine of ada's: until it is ready, until the first result, and until it is gone."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from bench.figures import spread
from bench.quiet import calm
from bench.sitting import ada_in_lab
from day.report import require

if TYPE_CHECKING:
    from pathlib import Path

START = """
import json, time
shell = get_ipython()
began = time.perf_counter()
shell.run_line_magic("load_ext", "jupyter_alc")
loaded = time.perf_counter()
shell.run_line_magic("piezo", "start --name bench")
ready = time.perf_counter()
assert spark.range(1000000).selectExpr("sum(id)").collect()[0][0] == 499999500000
first = time.perf_counter()
from pyspark.sql.functions import udf
assert spark.range(10).select(udf(lambda n: n + 1, "long")("id")).count() == 10
python = time.perf_counter()
shell.run_line_magic("piezo", "stop --name bench")
gone = time.perf_counter()
print()
print(json.dumps({
    "extension loaded": loaded - began, "start to ready": ready - loaded, "start to first result": first - loaded,
    "start to first Python result": python - loaded, "stop to gone": gone - python,
}))
"""


def measure(rounds: int, pictures: Path) -> dict[str, Any]:
    """Start and stop a cluster `rounds` times, each from a fresh kernel; the first of a new machine is told apart."""
    seen: list[dict[str, float]] = []
    busy: list[float] = []
    with ada_in_lab(pictures) as (_, person):
        for _ in range(rounds):
            busy.append(calm())
            said = person.run(START, seconds=300)
            told = [line for line in said.splitlines() if line.startswith("{")]
            require(told, f"the notebook said: {said[-600:]}")
            seen.append(json.loads(told[0]))
    later = seen[1:] or seen
    return {
        "first in a new home": {name: round(value, 2) for name, value in seen[0].items()},
        "later": {name: spread(one[name] for one in later) for name in later[0]},
        "busy before": spread(busy),
    }
