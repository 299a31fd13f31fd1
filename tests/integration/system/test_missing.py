"""A computer without /dev/fuse, Java and Chromium: every door says so in the same words, with the next step.

`alc up` runs in a mount namespace of its own in which the three are not there; everything else is as it is.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from integration.system.world import World, a_world, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = [pytest.mark.integration, pytest.mark.hub, pytest.mark.root, pytest.mark.timeout(420)]

CHECKOUT: Final = Path(__file__).resolve().parents[3]
ALC: Final = (sys.executable, "-P", "-m", "jupyter_alc.cli")
HIDDEN: Final = ("unshare", "--mount", "--propagation", "private", "sh", "-euc")
WITHOUT_FUSE: Final = """
mount -t tmpfs -o mode=0755 dev /mnt
for one in /dev/*; do
    at=/mnt/${one##*/}
    if [ "$one" = /dev/fuse ]; then :
    elif [ -L "$one" ]; then cp -d "$one" "$at"
    elif [ -d "$one" ]; then mkdir "$at"; mount --rbind "$one" "$at"
    else : > "$at"; mount --bind "$one" "$at"
    fi
done
mount --move /mnt /dev
"""
CLOSED_FUSE: Final = """
mount -t tmpfs -o nodev closed /mnt
mknod -m 0666 /mnt/fuse c 10 229
mount --bind /mnt/fuse /dev/fuse
"""
WITHOUT_JAVA: Final = "mount -t tmpfs jvm /usr/lib/jvm\n"
WITHOUT_CHROMIUM: Final = "[ ! -e /usr/bin/chromium ] || mount --bind /dev/null /usr/bin/chromium\n"
RUN: Final = '\nexec "$@"\n'

NO_FOLDERS: Final = "Your datasets are no folders here: /dev/fuse is not there."
INSTEAD: Final = (
    "Open them as dms://dataset/file in Python; for folders the administrator can load the kernel module fuse "
    "(modprobe fuse)."
)
NO_JAVA: Final = "This machine has no Java, which Spark needs."
GET_JAVA: Final = "Ask your operator to install openjdk-17-jre-headless."

DOCTOR: Final = {
    WITHOUT_FUSE: "MISSING  /dev/fuse: is not there. Datasets are then served as dms:// only, not as folders. "
    "Cure: load the kernel module fuse (modprobe fuse).",
    CLOSED_FUSE: "MISSING  /dev/fuse: may not be opened. Datasets are then served as dms:// only, not as folders. "
    "Cure: allow the device c 10:229 here.",
    WITHOUT_JAVA: "MISSING  Java: not found. Spark clusters cannot start then. Cure: apt-get install "
    "openjdk-17-jre-headless",
    WITHOUT_CHROMIUM: "lacking  Chromium: not found. For demo and tests: apt-get install chromium",
}


def hiding(*conditions: str) -> tuple[str, ...]:
    """The words in front of a program that make it see a computer that lacks these."""
    return (*HIDDEN, "".join(conditions) + RUN, "sh")


def run(words: tuple[str, ...], **more: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, cwd=CHECKOUT, capture_output=True, text=True, timeout=120, check=False, **more)


# -- before anything is started ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "condition",
    [
        pytest.param(WITHOUT_FUSE, id="no /dev/fuse"),
        pytest.param(CLOSED_FUSE, id="a /dev/fuse that may not be opened", marks=pytest.mark.fuse),
        pytest.param(WITHOUT_JAVA, id="no Java"),
        pytest.param(WITHOUT_CHROMIUM, id="no Chromium"),
    ],
)
def test_the_doctor_names_it_with_its_cure(condition):
    done = run((*hiding(condition), *ALC, "doctor"))
    assert DOCTOR[condition] in done.stdout.splitlines()
    assert not done.stderr


def test_the_demo_stops_before_it_starts_anything_and_names_the_package(tmp_path):
    look = "import sys; from pathlib import Path; from day.__main__ import look; look(Path(sys.argv[1]) / 'state')"
    environment = {**os.environ, "PYTHONPATH": "tests"}
    done = run((*hiding(WITHOUT_CHROMIUM), sys.executable, "-c", look, str(tmp_path)), env=environment)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].endswith("Chromium: not found. For demo and tests: apt-get install chromium")
    assert not list(tmp_path.iterdir())


def test_an_ordinary_user_is_told_which_debian_package_to_ask_for(tmp_path):
    known = Path("/var/lib/dpkg/status").read_text().split("\n\n")
    (tmp_path / "status").write_text("\n\n".join(one for one in known if not one.startswith("Package: chromium\n")))
    tmp_path.chmod(0o755)
    nobody = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
    see = f"mount --bind {tmp_path}/status /var/lib/dpkg/status\n"
    done = run((*hiding(see), *nobody, "sh", ".ci/debian", "browser"))
    assert done.returncode == 1
    missing, cure = done.stderr.splitlines()
    assert missing.startswith("These Debian packages are missing: chromium")
    assert "apt-get install --no-install-recommends chromium" in cure


def test_browser_tests_are_skipped_with_the_reason():
    words = (sys.executable, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", "tests/browser")
    done = run((*hiding(WITHOUT_CHROMIUM), *words))
    assert done.returncode == 0, done.stdout
    assert "needs Chromium: install the package chromium" in done.stdout


# -- a whole system that lacks all three -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with a_world(port=8950, around=hiding(WITHOUT_FUSE, WITHOUT_JAVA, WITHOUT_CHROMIUM)) as made:
        yield made


@pytest.fixture(scope="module")
def before(world: World) -> dict[str, str]:
    """The form before she clicks, and the progress page while her start waits for a slow archive."""
    until(lambda: card(world)["counts"]["ready"], "no machine is warm")
    seen = {"form": page(world, "spawn")}
    with world.silent_archive():
        world.ada.start()
        until(lambda: "alc-stage-lacking" in page(world, "spawn-pending/ada"), "the progress page does not say it", 30)
        seen["progress"] = page(world, "spawn-pending/ada")
    world.ada.wait_for_server()
    world.ada.new_kernel()
    world.ada.run("%load_ext jupyter_alc")
    return seen


def card(world: World) -> dict[str, Any]:
    (small,) = [one for one in world.system.machine_types("ada") if one["id"] == "small"]
    return small


def page(world: World, path: str) -> str:
    return str(world.ada.session.get(f"{world.system.address}/hub/{path}", timeout=60).text)


def magic(world: World, line: str) -> str:
    """What a magic shows, or the error it ends with."""
    try:
        return world.ada.run(f"print(get_ipython().run_line_magic(*{line!r}.split(' ', 1)))")
    except AssertionError as error:
        return str(error)


def terminal(world: World, *words: str) -> str:
    """What `alc` says in a terminal of her server."""
    command = f"[sys.executable, '-m', 'jupyter_alc.cli', *{words!r}]"
    code = f"import subprocess, sys\ndone = subprocess.run({command}, capture_output=True, text=True)"
    return str(world.ada.tells(f"{code}\ntell(done.stdout + done.stderr)"))


def asked(world: World, path: str) -> Any:
    answer = world.ada.mine("GET", f"jupyter-alc/v1/{path}")
    assert answer.status_code == 200, answer.text
    return answer.json()


FUSE_DOORS: Final[dict[str, Callable[[World, dict[str, str]], str]]] = {
    "alc up": lambda world, _: world.said(),
    "the form's card": lambda _, before: before["form"],
    "the progress page": lambda _, before: before["progress"],
    "VMM's machine types": lambda world, _: card(world)["lacks_note"],
    "VMM's allocation": lambda world, _: json.dumps(world.ada.allocation["problem"]),
    "GET machine": lambda world, _: json.dumps(asked(world, "machine")["allocation"]["problem"]),
    "GET data": lambda world, _: json.dumps(asked(world, "data")["daemon"]["problem"]),
    "%dms status": lambda world, _: magic(world, "dms status"),
    "alc dms status": lambda world, _: terminal(world, "dms", "status"),
}
OTHER_WORDS: Final = {
    "alc up": (DOCTOR[WITHOUT_FUSE], "jupyter-alc is up"),
    "the form's card": ("Data only as dms:// in Python, not as folders: no FUSE here.",),
    "VMM's machine types": ("Data only as dms:// in Python, not as folders: no FUSE here.",),
}


@pytest.mark.parametrize("door", FUSE_DOORS)
def test_no_dev_fuse_is_said(world, before, door):
    said = FUSE_DOORS[door](world, before)
    for words in OTHER_WORDS.get(door, (NO_FOLDERS, INSTEAD)):
        assert words in said, said


def test_without_dev_fuse_data_is_read_and_written_and_proved_all_the_same(world, before):
    name = "dms://sans-examples/1d_data/apoferritin.txt"
    assert world.ada.tells(f"import fsspec\nwith fsspec.open({name!r}) as file: tell(len(file.read()))") == 24_247
    write = "import fsspec\nwith fsspec.open('dms://results/no-fuse.txt', 'wb') as file: file.write(b'all the same')"
    world.ada.run(write)
    until((world.system.results_root / "ada/no-fuse.txt").exists, "the result did not reach the archive")
    assert {one["name"]: one["state"] for one in world.ada.allocation["stages"]}["proof"] == "done"


def test_where_the_folder_would_be_nothing_can_be_written_that_no_archive_would_get(world, before):
    code = "import os\ntry: os.makedirs(os.path.expanduser('~/data/results/run'))\nexcept OSError as e: tell(str(e))"
    assert "Permission denied" in world.ada.tells(code)


def refused(world: World) -> str:
    answer = world.ada.mine("POST", "jupyter-alc/v1/piezo/clusters", {})
    assert answer.status_code == 501, answer.text
    told = answer.json()
    assert told["code"] == "missing"
    return f"{told['message']} {told['next_step']}"


JAVA_DOORS: Final[dict[str, Callable[[World, dict[str, str]], str]]] = {
    "alc up": lambda world, _: world.said(),
    "the form's card": lambda _, before: before["form"],
    "VMM's machine types": lambda world, _: card(world)["lacks_note"],
    "POST piezo/clusters": lambda world, _: refused(world),
    "%piezo start": lambda world, _: magic(world, "piezo start"),
    "alc piezo start": lambda world, _: terminal(world, "piezo", "start"),
}
OTHER_JAVA_WORDS: Final = {
    "alc up": DOCTOR[WITHOUT_JAVA],
    "the form's card": "No Spark clusters: no Java here.",
    "VMM's machine types": "No Spark clusters: no Java here.",
}


@pytest.mark.parametrize("door", JAVA_DOORS)
def test_no_java_is_said(world, before, door):
    said = JAVA_DOORS[door](world, before)
    assert OTHER_JAVA_WORDS.get(door, f"{NO_JAVA} {GET_JAVA}") in said


def test_a_start_without_java_leaves_no_cluster_record_or_process(world, before):
    refused(world)
    assert asked(world, "piezo/clusters") == {"clusters": []}
    places = "[*pathlib.Path.home().glob('.local/state/jupyter-alc/clusters/*'), *pathlib.Path('/tmp').iterdir()]"
    assert world.ada.tells(f"import pathlib\ntell([str(one) for one in {places}])") == []
    with pytest.raises(IndexError):
        world.ada.program("piezo.supervisor")
