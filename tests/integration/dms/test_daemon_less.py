"""`dms://` where no data service answers: the same engine in process, with what the user brought, or a clear word."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration

CODE = """
import pickle, sys
from jupyter_alc.dms.filesystem import DmsFileSystem
fs = pickle.loads(pickle.dumps(DmsFileSystem()))
assert [each["name"] for each in fs.ls("dms://")] == ["raw", "results"], fs.ls("dms://")
assert fs.cat_file("dms://raw/a.txt", start=1, end=3) == b"bc"
with fs.open("dms://results/run/made.txt", "wb") as opened:
    opened.write(b"from " + sys.argv[1].encode())
print(fs.cat_file("dms://results/run/made.txt").decode())
"""


def run(code, *words, environment):
    return subprocess.run(
        [sys.executable, "-c", code, *words],
        capture_output=True, text=True, check=False, timeout=120, cwd=Path(__file__).parents[3],
        env={"PATH": os.environ["PATH"], "ALC_DMS_SOCKET": "/nonexistent/dms.sock", **environment},
    )  # fmt: skip


@pytest.fixture
def environment(tmp_path):
    for name in ("raw", "results"):
        (tmp_path / name).mkdir()
    (tmp_path / "raw" / "a.txt").write_text("abcd")
    (tmp_path / "catalogue.yaml").write_text(
        "datasets:\n"
        f"- {{id: raw, title: Raw, adapter: local, url: 'file://{tmp_path}/raw', readers: ['*']}}\n"
        f"- {{id: results, title: Results, adapter: local, url: 'file://{tmp_path}/results', writers: ['*']}}\n"
    )
    return {"HOME": str(tmp_path), "ALC_CATALOGUE": str(tmp_path / "catalogue.yaml"), "ALC_STATE": str(tmp_path / "s")}


def test_a_process_on_its_own_reads_and_its_results_arrive_before_it_ends(environment, tmp_path):
    """What was closed is in the archive when the process is gone."""
    done = run(CODE, "one", environment=environment)
    assert done.stdout == "from one\n", done.stderr
    assert (tmp_path / "results" / "run" / "made.txt").read_text() == "from one"


def test_two_processes_side_by_side_have_a_volume_each(environment, tmp_path):
    """The second does not stumble over the first one's lock."""
    waits = CODE + "\nfrom subprocess import run\nrun([sys.executable, *eval(sys.argv[2])], check=True)\n"
    inner = ["-c", CODE.replace("made.txt", "inner.txt"), "two"]
    done = run(waits, "one", repr(inner), environment=environment)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "results" / "run" / "inner.txt").read_text() == "from two"
    assert (tmp_path / "results" / "run" / "made.txt").read_text() == "from one"


def test_a_forked_child_ends_at_once_and_leaves_its_parents_engine_alone(environment, tmp_path):
    """Work that was shared out by multiprocessing does not wait for an engine that lives in the parent."""
    code = (
        CODE
        + """
import multiprocessing, time
child = multiprocessing.get_context("fork").Process(target=print, args=("child",))
begun = time.monotonic()
child.start()
child.join(50)
assert child.exitcode == 0, child.exitcode
assert time.monotonic() - begun < 25
"""
    )
    done = run(code, "one", environment=environment)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "results" / "run" / "made.txt").read_text() == "from one"


def test_without_service_and_catalogue_the_next_step_is_told(tmp_path):
    """One sentence and what to do, not a traceback of sockets."""
    code = (
        "from jupyter_alc.dms.filesystem import DmsFileSystem\nfrom jupyter_alc.core.errors import Missing\n"
        "try: DmsFileSystem().ls('dms://')\nexcept Missing as error: print(error.line)\n"
    )
    done = run(code, environment={"HOME": str(tmp_path)})
    assert "ALC_CATALOGUE" in done.stdout, done.stderr
