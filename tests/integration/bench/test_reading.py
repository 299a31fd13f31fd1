"""`make bench PART=reading` works: every row once, with small sizes, by everybody who is installed."""

import tempfile
from pathlib import Path

import pytest

from bench.reading import rows, turns
from bench.reading.bars import judge
from bench.reading.clients import lacking
from bench.reading.plant import TINY
from bench.reading.plot import draw

pytestmark = [pytest.mark.ceph, pytest.mark.fuse, pytest.mark.root]


@pytest.fixture(scope="module")
def ground(ceph):
    """The objects in a bucket of Ceph, and a folder for mounts that other users may pass through."""
    with tempfile.TemporaryDirectory(prefix="alc-bench-") as folder:
        place = Path(folder)
        place.chmod(0o755)
        yield turns.prepare(ceph, place, TINY)


@pytest.mark.parametrize(
    "row",
    [pytest.param(row, marks=pytest.mark.spark if "Spark" in row.kind else ()) for row in rows.ROWS],
    ids=lambda row: row.name,
)
def test_each_row_reads_right_and_is_judged(ground, row, tmp_path):
    if missing := lacking():
        pytest.skip(f"needs Debian's {', '.join(missing)}: run .ci/debian peers")
    told = turns.measure(ground, row, 1, lambda _: None)
    assert {client.name for client in row.clients(ground.source)} <= set(told)
    results = {row.name: told}
    assert all(one.ours >= 0 for one in judge(results))
    draw(results, tmp_path / "picture.svg")
    assert not [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if str(ground.place) in line]
    assert [one.name for one in ground.place.iterdir()] == ["source"]
