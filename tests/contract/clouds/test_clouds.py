"""The shipped contract, run against the simulated cloud and against the local one, with root and without."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path

import pytest

from jupyter_alc.core.errors import Unavailable
from jupyter_alc.testing.clouds import CloudContract
from jupyter_alc.testing.simulated_cloud import SimulatedCloud
from jupyter_alc.vmm.clouds.door import LibcloudCloud, open_cloud

sys.path.insert(0, str(Path(__file__).parents[2] / "integration/machine"))
from typing import TYPE_CHECKING

from machine_world import ENVIRONMENTS, ROOT, Host

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.contract
ORDINARY = 61234


class TestSimulatedCloud(CloudContract):
    @pytest.fixture
    def cloud(self) -> SimulatedCloud:
        return SimulatedCloud()

    @pytest.fixture
    def kill(self, cloud: SimulatedCloud) -> Callable[[str], None]:
        return cloud.kill

    @pytest.fixture
    def silence(self, cloud: SimulatedCloud) -> Callable[[], None]:
        away = Unavailable("away", next_step="wait")

        def silence() -> None:
            for call in ("create", "machines", "attach", "destroy"):
                cloud.fail(call, 100, error=away)

        return silence


class _OnLauncher(CloudContract):
    """Whatever a launcher makes, through libcloud and the door."""

    @pytest.fixture
    def cloud(self, launcher: Host) -> LibcloudCloud:
        return open_cloud(Path(launcher.told["socket"]))

    @pytest.fixture
    def kill(self, launcher: Host) -> Callable[[str], None]:
        return lambda key: os.kill(launcher.machines()[key]["pid"], signal.SIGKILL)

    @pytest.fixture
    def silence(self, launcher: Host) -> Callable[[], None]:
        return lambda: launcher.stop(signal.SIGKILL)


@pytest.mark.root
class TestLocalCloud(_OnLauncher):
    @pytest.fixture
    def launcher(self) -> Iterator[Host]:
        folder = Path(tempfile.mkdtemp(prefix="alct-", dir="/tmp"))
        host = Host(folder)
        host.start()
        yield host
        host.close()
        shutil.rmtree(folder)

    def test_it_says_that_machines_are_isolated(self, launcher: Host, cloud: LibcloudCloud) -> None:
        launcher.make("machine-one")
        assert cloud.machines()[0].isolation == "sandbox"


class TestLocalCloudWithoutRoot(_OnLauncher):
    """As root this starts the launcher under an ordinary uid; the code path is the one of an ordinary user."""

    @pytest.fixture
    def uid(self) -> int:
        return ORDINARY if os.geteuid() == 0 else os.getuid()

    @pytest.fixture
    def launcher(self, uid: int) -> Iterator[Host]:
        closed = [one for one in (ROOT, *ROOT.parents) if not one.stat().st_mode & 0o005]
        if os.geteuid() == 0 and closed:
            pytest.skip(f"an ordinary user cannot read {closed[0]}")
        folder = Path(tempfile.mkdtemp(prefix="alct-", dir="/tmp"))
        os.chown(folder, uid, -1)
        host = Host(folder, drop=uid if os.geteuid() == 0 else None)
        host.start()
        yield host
        host.close()
        shutil.rmtree(folder)

    def test_it_says_that_nothing_is_isolated(self, launcher: Host, cloud: LibcloudCloud) -> None:
        launcher.make("machine-one")
        seen = cloud.machines()[0]
        assert seen.isolation == "none"
        assert seen.limits == {"cores": False, "memory": False}
        assert seen.address == "127.0.0.1"


def test_the_environments_are_built() -> None:
    assert (ENVIRONMENTS / "python/bin/python").exists(), "build them: make environments"
