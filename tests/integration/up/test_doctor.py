"""`alc doctor` and the `alc` command itself."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration

CHECKOUT = Path(__file__).resolve().parents[3]


def alc(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    told = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "HOME": "/nonexistent", **environment}
    command = [sys.executable, "-m", "jupyter_alc.cli", *words]
    return subprocess.run(command, cwd=CHECKOUT, env=told, capture_output=True, text=True, timeout=60, check=False)


def test_the_doctor_names_what_is_missing_with_its_cure_and_fails(tmp_path):
    done = alc("doctor", "--environments", str(tmp_path), "--state", str(tmp_path / "state"))
    assert done.returncode == 1
    assert "MISSING  machine environment spark" in done.stdout
    assert "make env" in done.stdout
    assert not (tmp_path / "state").exists()


def test_the_doctor_speaks_json(tmp_path):
    done = alc("doctor", "--json", "--environments", str(tmp_path))
    told = json.loads(done.stdout)
    assert told["ok"] is False
    assert {"name", "ok", "needed", "found", "cure"} == set(told["checks"][0])
    assert all(check["ok"] or check["cure"] for check in told["checks"])


def test_a_missing_proxy_is_the_same_story_in_doctor_and_up(tmp_path):
    nowhere = str(tmp_path / "none")
    doctor = alc("doctor", ALC_PROXY_TREE=nowhere)
    up = alc("up", "--state", str(tmp_path / "state"), ALC_PROXY_TREE=nowhere)
    line = next(line for line in doctor.stdout.splitlines() if "the Hub's proxy" in line)
    assert (doctor.returncode, up.returncode) == (1, 1)
    assert line in up.stdout


def test_help_lists_every_verb():
    done = alc("--help")
    assert done.returncode == 0
    for verb in ("up", "doctor", "dms", "piezo", "vmm"):
        assert f"    {verb} " in done.stdout


def test_a_wrong_verb_is_a_usage_error():
    assert alc("fly").returncode == 2
