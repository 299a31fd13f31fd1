"""Make the environments, the Lab extension and the wheel; each step runs only when what it is made from has changed.

python3 .ci/environment.py            everything
python3 .ci/environment.py --dev      everything, and the host environment takes its code from this checkout
"""

import argparse
import errno
import fcntl
import hashlib
import os
import pathlib
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable

TOP = pathlib.Path(__file__).resolve().parent.parent
BUILD = TOP / "build"
CACHE = pathlib.Path(
    os.environ.get("ALC_CACHE")
    or pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "jupyter-alc"
)
PYTHON = "/usr/bin/python3"  # one that every user of a machine can read
ENVIRONMENTS = ("host", "spark", "python")
LEAST_DISK = 3 * 1000**3  # what the environments and the packages they come from take together
MORE_SPACE = "Make 3 GB free, or set ALC_CACHE to a folder on another disk; then run this again, it goes on from here."
UV = BUILD / "boot/bin/uv"
HOST = BUILD / "env/host"


def run(*command: str | pathlib.Path, cwd: pathlib.Path = TOP) -> None:
    """Run one command; show what it said only when it failed."""
    environment = {
        k: v for k, v in os.environ.items() if k not in {"PYTHONDONTWRITEBYTECODE", "VIRTUAL_ENV", "PYTHONPATH"}
    }
    environment |= {
        "UV_CACHE_DIR": str(CACHE / "uv"),
        "PIP_USER": "0",  # whatever the account's own pip.conf says: it goes into our environment
        "npm_config_cache": str(CACHE / "npm"),
        "npm_config_update_notifier": "false",
        "JUPYTER_CONFIG_DIR": str(BUILD / "tmp/jupyter"),  # the Lab build reads no settings of this account's
        "JUPYTER_NO_CONFIG": "1",
        "TMPDIR": str(BUILD / "tmp"),
        "PATH": f"{HOST}/bin:{environment['PATH']}",
    }
    done = subprocess.run(
        [str(c) for c in command],
        cwd=cwd,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        full = [str(place) for place in (BUILD, CACHE) if shutil.disk_usage(place).free < LEAST_DISK // 10]
        if full or "os error 28" in done.stdout or "ENOSPC" in done.stdout:
            sys.exit(f"The disk is full below {' and '.join(full) or BUILD}. {MORE_SPACE}")
        sys.exit(f"{' '.join(map(str, command))}\nended with {done.returncode}:\n{done.stdout[-6000:]}")


def files(*places: str) -> list[pathlib.Path]:
    """All source files below these places of the checkout, build products left out."""
    skip = {"node_modules", "lib", "__pycache__", "labextension"}
    found: list[pathlib.Path] = []
    for place in places:
        root = TOP / place
        if root.is_file():
            found.append(root)
        for folder, folders, names in os.walk(root):
            here = pathlib.Path(folder)
            folders[:] = [f for f in folders if f not in skip]
            found += [here / n for n in names if not n.endswith((".pyc", ".tsbuildinfo"))]
    return sorted(found)


def fingerprint(paths: Iterable[pathlib.Path], *words: str) -> str:
    """One hash over the names and bytes of these files."""
    total = hashlib.sha256("\0".join(words).encode())
    for path in paths:
        total.update(str(path.relative_to(TOP)).encode() + b"\0" + path.read_bytes() + b"\0")
    return total.hexdigest()


def step(name: str, mark: str, proof: pathlib.Path, make: Callable[[], None]) -> None:
    """Call `make` unless `proof` exists and was made from the same `mark`."""
    stamp = BUILD / "stamps" / name
    if proof.exists() and stamp.exists() and stamp.read_text() == mark:
        return
    started = time.monotonic()
    stamp.unlink(missing_ok=True)
    make()
    stamp.parent.mkdir(parents=True, exist_ok=True)
    stamp.write_text(mark)
    print(f"  {name}: {time.monotonic() - started:.1f} s", flush=True)


def boot() -> None:
    shutil.rmtree(BUILD / "boot", ignore_errors=True)
    run(PYTHON, "-m", "venv", BUILD / "boot")
    run(
        BUILD / "boot/bin/python",
        "-m",
        "pip",
        "install",
        "-q",
        "--no-cache-dir",
        "--require-hashes",
        "-r",
        TOP / "lock.boot.txt",
    )


def environment(name: str) -> None:
    place = BUILD / "env" / name
    if not (place / "bin/python").exists():
        run(UV, "venv", "-q", "--relocatable", "--python", PYTHON, place)  # machines see it at another path
    run(
        UV,
        "pip",
        "sync",
        "-q",
        "--python",
        place / "bin/python",
        "--require-hashes",
        "--compile-bytecode",
        TOP / f"lock.{name}.txt",
    )


def node_tree(folder: str) -> None:
    run(HOST / "bin/npm", "ci", "--no-audit", "--no-fund", cwd=TOP / folder)


def proxy() -> None:
    """The Hub's proxy, installed outside the tree's sources."""
    place = BUILD / "proxy"
    place.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json", ".npmrc"):
        shutil.copy(TOP / "hub_config/proxy" / name, place / name)
    run(HOST / "bin/npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts", cwd=place)


def front_end() -> None:
    run(HOST / "bin/npm", "run", "build:prod", cwd=TOP / "labextension")


def wheel() -> None:
    shutil.rmtree(BUILD / "dist", ignore_errors=True)
    run(
        UV, "build", "-q", "--wheel", "--no-build-isolation", "--python", HOST / "bin/python", "-o", BUILD / "dist", TOP
    )


def install(name: str, *, from_checkout: bool) -> None:
    python = BUILD / "env" / name / "bin/python"
    source = ["-e", str(TOP)] if from_checkout else [str(next((BUILD / "dist").glob("*.whl")))]
    run(UV, "pip", "install", "-q", "--python", python, "--no-deps", "--no-build-isolation", "--reinstall", *source)
    if not from_checkout:
        packages = next((BUILD / "env" / name / "lib").glob("python3*")) / "site-packages"
        run(python, "-m", "compileall", "-q", packages / "jupyter_alc", packages / "alc_spawners")
    if name != "host":
        quiet_lab(name)


def quiet_lab(name: str) -> None:
    """A machine reaches no news server, so Lab need not ask its user about news."""
    settings = BUILD / "env" / name / "share/jupyter/lab/settings"
    settings.mkdir(parents=True, exist_ok=True)
    (settings / "overrides.json").write_text(
        '{"@jupyterlab/apputils-extension:notification": {"fetchNews": "false"}}\n'
    )


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument(
        "--dev",
        action="store_true",
        help="install the host environment from this checkout, so that edits count at once",
    )
    dev: bool = options.parse_args().dev
    os.umask(0o022)  # every user of a machine reads its environment, and nobody else writes it
    try:
        make_room()
        with (BUILD / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            (BUILD / "tmp").mkdir(exist_ok=True)
            try:
                make_all(dev=dev)
            finally:
                shutil.rmtree(BUILD / "tmp", ignore_errors=True)
    except OSError as error:
        sys.exit(f"{error.filename or BUILD}: {error.strerror}. {MORE_SPACE if error.errno == errno.ENOSPC else ''}")


def make_room() -> None:
    """Make the folders; stop before anything is half made when the first set-up cannot fit."""
    for folder in (BUILD, CACHE):
        folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(folder).free
        if free < LEAST_DISK and not (BUILD / "stamps/install-python").exists():
            sys.exit(f"Only {free / 1000**3:.1f} GB are free below {folder}. {MORE_SPACE}")


def make_all(*, dev: bool) -> None:
    step("uv", fingerprint([TOP / "lock.boot.txt"], str(TOP)), UV, boot)
    for name in ENVIRONMENTS:
        mark = fingerprint([TOP / f"lock.{name}.txt"], str(TOP), sys.version)
        step(f"environment-{name}", mark, BUILD / "env" / name / "bin/python", lambda name=name: environment(name))
    step("proxy", fingerprint(files("hub_config/proxy"), str(TOP)), BUILD / "proxy/node_modules", proxy)
    packages = [TOP / "labextension/package.json", TOP / "labextension/package-lock.json"]
    step(
        "front-end-packages",
        fingerprint(packages, str(TOP)),
        TOP / "labextension/node_modules",
        lambda: node_tree("labextension"),
    )
    step(
        "front-end",
        fingerprint(files("labextension"), str(TOP)),
        TOP / "jupyter_alc/labextension/package.json",
        front_end,
    )
    made_from = fingerprint(
        files("jupyter_alc", "spawners", "hub_config", "labextension", "pyproject.toml", "README.md"), str(TOP)
    )
    step("wheel", made_from, BUILD / "dist", wheel)
    for name in ENVIRONMENTS:
        from_checkout = dev and name == "host"
        lock = (BUILD / "stamps" / f"environment-{name}").read_text()
        # entry points are read at installation, also from a checkout
        mark = f"editable {fingerprint(files('pyproject.toml'))} {lock}" if from_checkout else made_from + lock
        step(
            f"install-{name}",
            mark,
            BUILD / "env" / name / "bin/python",
            lambda name=name, c=from_checkout: install(name, from_checkout=c),
        )


if __name__ == "__main__":
    main()
