"""The wheel as somebody gets it who has no checkout and no Node: built from the sdist, installed with its extras."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

CHECKOUT = Path(__file__).resolve().parents[3]
UV = CHECKOUT / "build/boot/bin/uv"
EXTRAS = "machine,spark,hub,archive"
ENTRY_POINTS = """
from importlib.metadata import entry_points
for group in ("jupyterhub.spawners", "fsspec.specs", "jupyter_alc.adapters", "jupyter_alc.clouds",
              "jupyter_alc.backends", "jupyter_alc.frameworks"):
    for one in entry_points(group=group):
        if "alc" in one.value:
            print(group, one.name, one.load().__name__)
"""


@dataclass(frozen=True)
class Installed:
    """A clean environment with the wheel in it; its programs find no Node."""

    sdist: Path
    wheel: Path
    environment: Path
    home: Path

    def run(self, program: str, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
        told = {"PATH": str(self.home / "empty"), "LANG": "C.UTF-8", "HOME": str(self.home), **more}
        command = [self.environment / "bin" / program, *words]
        return subprocess.run(
            command, cwd=self.home, env=told, capture_output=True, text=True, timeout=120, check=False
        )


def _cache() -> Path:
    given = os.environ.get("ALC_CACHE")
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return (Path(given) if given else home / "jupyter-alc") / "uv"


def _uv(*words: str | Path, path: Path) -> subprocess.CompletedProcess[str]:
    told = {**os.environ, "UV_CACHE_DIR": str(_cache()), "PATH": f"{path}:/usr/bin:/bin", "TMPDIR": str(path.parent)}
    for name in ("VIRTUAL_ENV", "PYTHONPATH", "UV_OFFLINE"):
        told.pop(name, None)
    return subprocess.run([UV, *words], env=told, capture_output=True, text=True, timeout=250, check=False)


def _without_node(folder: Path) -> Path:
    """Make a PATH in which `node` and `npm` only fail."""
    folder.mkdir()
    for name in ("node", "npm", "npx", "jlpm"):
        (folder / name).write_text("#!/bin/sh\necho there is no node here >&2\nexit 97\n")
        (folder / name).chmod(0o755)
    return folder


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    if not UV.exists():
        pytest.skip("needs the checkout's uv: make env")
    place = tmp_path_factory.mktemp("wheel")
    (place / "empty").mkdir()
    path = _without_node(place / "no-node")
    built = _uv("build", "-q", "--no-build-isolation", "--python", sys.executable, "-o", place, CHECKOUT, path=path)
    assert built.returncode == 0, built.stderr
    (wheel,), (sdist,) = place.glob("*.whl"), place.glob("*.tar.gz")
    environment = place / "environment"
    made = _uv("venv", "-q", "--python", "/usr/bin/python3", environment, path=path)
    assert made.returncode == 0, made.stderr
    install: list[str | Path] = ["pip", "install", "-q", "--python", environment / "bin/python"]
    install += ["-c", CHECKOUT / "lock.host.txt", f"jupyter-alc[{EXTRAS}] @ {wheel.as_uri()}"]
    done = _uv(*install, "--offline", path=path)
    if done.returncode != 0:  # the cache does not have it all
        done = _uv(*install, path=path)
    assert done.returncode == 0, done.stderr
    return Installed(sdist, wheel, environment, place)


def test_the_wheel_holds_the_packages_and_the_shared_files_and_nothing_else(installed):
    names = zipfile.ZipFile(installed.wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert {one for one in tops if not one.startswith("jupyter_alc-")} == {"jupyter_alc", "alc_spawners"}
    shared = {"/".join(name.split("/")[2:5]) for name in names if ".data/data/" in name}
    assert shared >= {"share/jupyter/labextensions", "etc/jupyter/jupyter_server_config.d"}
    for junk in ("node_modules", "__pycache__", ".tsbuildinfo", "/tests/", ".pyc"):
        assert not [name for name in names if junk in name]
    assert "jupyter_alc/example/notebooks/sans_guinier.ipynb" in names
    assert any(name.endswith("labextensions/jupyter-alc/install.json") for name in names)


def test_the_sdist_builds_the_wheel_without_node_because_the_front_end_is_in_it(installed):
    with tarfile.open(installed.sdist) as archive:
        names = ["/".join(name.split("/")[1:]) for name in archive.getnames()]
    assert "jupyter_alc/labextension/package.json" in names
    assert {"lock.host.txt", "labextension/package-lock.json", "LICENSE", "Makefile"} <= set(names)
    for junk in ("node_modules/", "labextension/lib/", "__pycache__", ".mypy_cache", ".hypothesis"):
        assert not [name for name in names if junk in name]
    assert not [name for name in names if name.startswith(("build/", "dist/"))]


def test_jupyter_finds_the_server_extension_and_the_lab_extension(installed):
    server = installed.run("python", "-m", "jupyter_server.extension.serverextension", "list")
    said = server.stdout + server.stderr
    line = next(one for one in said.splitlines() if "jupyter_alc" in one and "enabled" in one)
    assert "enabled" in line
    assert f"jupyter_alc {_version(installed)} " in said.replace("\x1b[32m", "")
    lab = installed.run("python", "-m", "jupyterlab.labextensions", "list")
    said = lab.stdout + lab.stderr
    assert f"jupyter-alc v{_version(installed)}" in said
    assert "problems" not in said.lower()


def _version(installed: Installed) -> str:
    return installed.wheel.name.split("-")[1]


def test_every_entry_point_loads(installed):
    done = installed.run("python", "-W", "ignore", "-c", ENTRY_POINTS)
    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()
    assert "jupyterhub.spawners alc-vmm VmmSpawner" in said
    assert "fsspec.specs dms DmsFileSystem" in said
    assert {line.split()[0] for line in said} >= {"jupyter_alc.adapters", "jupyter_alc.clouds", "jupyter_alc.backends"}


def test_doctor_and_up_say_what_this_environment_lacks_and_the_command_that_brings_it(installed):
    doctor = installed.run("alc", "doctor")
    assert doctor.returncode == 1
    proxy = next(line for line in doctor.stdout.splitlines() if "the Hub's proxy" in line)
    folder = installed.environment / "share/jupyter-alc/hub_config/proxy"
    assert f"{installed.environment}/bin/npm ci --ignore-scripts --prefix {folder}" in proxy
    assert (folder / "package-lock.json").exists()
    assert shutil.which("npm", path=str(installed.environment / "bin"))
    machines = [line for line in doctor.stdout.splitlines() if "machine environment" in line]
    assert machines
    assert all("pip install 'jupyter-alc[" in line for line in machines)
    assert "make env" not in doctor.stdout
    up = installed.run("alc", "up", "--state", str(installed.home / "state"))
    assert up.returncode == 1
    assert proxy in up.stdout
    assert not (installed.home / "state").exists()
