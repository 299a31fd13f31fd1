"""The guide for adapters, followed word for word in a fresh environment: its lines are taken from the page itself."""

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[3]
UV = CHECKOUT / "build/boot/bin/uv"
pytestmark = [pytest.mark.integration, pytest.mark.long, pytest.mark.timeout(600)]

CATALOGUE = """
datasets:
  - id: runs
    title: Runs
    adapter: zip
    url: zip://{place}
    readers: ["*"]
"""
READ = """
import asyncio, sys
from pathlib import Path
from jupyter_alc.dms.adapters.opening import known_adapters, open_adapter
from jupyter_alc.dms.catalogue import Catalogue

async def read(dataset):
    adapter = open_adapter(dataset)
    seen = await adapter.info("run/42.nxs")
    print(type(adapter).__module__, bytes(await adapter.read_range("run/42.nxs", 2, 5, seen.token)).decode())
    await adapter.close()

assert "zip" in known_adapters()
[mounted] = Catalogue.from_file(Path(sys.argv[1])).mounted_for("ada", ["runs"])
asyncio.run(read(mounted))
"""


def lines_of_the_guide():
    """The indented block that makes an environment."""
    page = (CHECKOUT / "docs/adapters.md").read_text()
    [block] = re.findall(r"(?m)^    python3 -m venv .*\n(?:    .*\n)+", page)
    return [line.strip() for line in block.splitlines()]


@pytest.fixture(scope="module")
def followed(tmp_path_factory):
    """A checkout with what `make env` leaves in it, and what the guide's lines said there."""
    if not UV.exists():
        pytest.skip("needs the checkout's uv: make env")
    top = tmp_path_factory.mktemp("guide")
    skip = shutil.ignore_patterns("__pycache__", "*.egg-info", ".pytest_cache")
    shutil.copytree(CHECKOUT / "docs/examples/alc-zip", top / "docs/examples/alc-zip", ignore=skip)
    told = {key: value for key, value in os.environ.items() if key not in {"PYTHONPATH", "VIRTUAL_ENV", "PYTHONHOME"}}
    told |= {"PATH": "/usr/bin:/bin", "HOME": str(top), "TMPDIR": str(top)}
    build = [UV, "build", "--wheel", "-q", "--offline", "--no-build-isolation", "--python", sys.executable]
    subprocess.run([*build, "-o", top / "build/dist", CHECKOUT], env=told, check=True, timeout=200)
    (top / "lines.sh").write_text("\n".join(lines_of_the_guide()))
    done = subprocess.run(
        ["sh", "-e", "lines.sh"], cwd=top, env=told, check=False, capture_output=True, text=True, timeout=400
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return top, done.stdout


def test_the_lines_of_the_guide_end_in_a_contract_that_passes(followed):
    _, said = followed
    assert re.search(r"\n=+ \d+ passed, \d+ skipped in ", said), said[-3000:]
    assert "Successfully installed" in said


def test_a_catalogue_may_say_the_new_name_and_the_engines_door_finds_it(followed, tmp_path):
    top, _ = followed
    with zipfile.ZipFile(tmp_path / "runs.zip", "w") as archive:
        archive.writestr("run/42.nxs", b"abcdefgh")
    (tmp_path / "catalogue.yaml").write_text(CATALOGUE.format(place=tmp_path / "runs.zip"))
    done = subprocess.run(
        [top / "try/bin/python", "-I", "-c", READ, tmp_path / "catalogue.yaml"],
        cwd=tmp_path, check=False, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "alc_zip cde\n"), done.stderr
