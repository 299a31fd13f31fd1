"""Labs: beside others, from the shell, gone afterwards."""

import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from labs.lab import Lab, LabError, alive_since
from labs.moto import Moto

TESTS = Path(__file__).parents[2]


def shell(name, verb, place):
    command = [sys.executable, "-m", f"labs.{name}", verb, str(place)]
    return subprocess.run(command, env={**os.environ, "PYTHONPATH": str(TESTS)}, check=False, capture_output=True)


@pytest.mark.ceph
def test_a_second_ceph_comes_up_beside_the_first_and_goes_without_it(ceph, tmp_path):
    place = tmp_path / "second"
    up = shell("ceph", "up", place)
    assert up.returncode == 0, up.stderr.decode()
    pids = [pid for pid, _ in type(ceph)(place).processes.values()]
    assert len(pids) == 3
    assert shell("ceph", "up", place).stdout == up.stdout  # it is up: nothing is made anew
    assert shell("ceph", "status", place).returncode == 0
    assert shell("ceph", "down", place).returncode == 0
    assert not any(alive_since(pid) for pid in pids)
    assert not place.exists()
    assert ceph.answers()


@pytest.mark.integration
def test_what_a_lab_started_is_stopped_from_another_process(tmp_path):
    lab = Moto(tmp_path / "moto")
    with lab:
        assert shell("moto", "status", lab.place).returncode == 0
        assert shell("moto", "down", lab.place).returncode == 0
        assert not lab.answers() if lab.state else True


@pytest.mark.integration
def test_a_folder_that_is_no_labs_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    lab = Moto(tmp_path)
    with pytest.raises(LabError, match="choose another folder"):
        lab.up()
    lab.down()
    assert (tmp_path / "thesis.tex").exists()
    assert isinstance(lab, Lab)


@pytest.mark.integration
@pytest.mark.parametrize("name", [pytest.param("nginx", marks=pytest.mark.nginx), "wsgidav"])
def test_a_served_folder_is_up_from_the_shell_and_gone_afterwards(name, tmp_path):
    place = tmp_path / "lab"
    up = shell(name, "up", place)
    assert up.returncode == 0, up.stderr.decode()
    told = json.loads(up.stdout)
    try:
        (place / "files/planted").write_text("seen")
        if name == "nginx":
            with urllib.request.urlopen(f"{told['http']}/planted") as answer:
                assert answer.read() == b"seen"
        assert shell(name, "status", place).returncode == 0
    finally:
        assert shell(name, "down", place).returncode == 0
    assert not place.exists()
    assert shell(name, "status", place).returncode == 1
