"""The third-party adapter of the guide passes the kit in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.contract
CHECKOUT = Path(__file__).parents[3]


def test_the_example_of_the_guide_passes_the_contract():
    example = CHECKOUT / "docs/examples/alc-zip"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--import-mode=importlib", "."],
        cwd=example, env={**os.environ, "PYTHONPATH": f"{CHECKOUT}:{example}", "PYTHONDONTWRITEBYTECODE": "1"},
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:]
    assert "passed" in done.stdout
