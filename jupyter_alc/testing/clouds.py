"""What every cloud behind VMM's door must do. Inherit, give the fixtures, and pytest runs it against yours.

class TestMyCloud(CloudContract):
    @pytest.fixture
    def cloud(self): ...
"""

# ruff: noqa: D102
# a test's name is its sentence

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from jupyter_alc.core.errors import AlcError, Unavailable
from jupyter_alc.vmm.types import MachineType

if TYPE_CHECKING:
    from collections.abc import Callable

    from jupyter_alc.vmm.sight import Cloud, Seen

_GONE_SECONDS = 30.0


class CloudContract:
    """The promises of the four calls. Keys are fresh in every test; machines left over are ended at its end."""

    @pytest.fixture
    def cloud(self) -> Cloud:
        """Return the cloud under test, without machines of ours."""
        pytest.fail("Give your subclass a fixture `cloud` that returns the cloud to be tested.")

    @pytest.fixture
    def machine_type(self) -> MachineType:
        """Return a type this cloud can make."""
        return MachineType(id="small", title="Small", cores=1, memory_bytes=10**9, environment="python")

    @pytest.fixture
    def uid(self) -> int:
        """Return an owner for volumes that this cloud accepts."""
        return 53000

    @pytest.fixture
    def kill(self) -> Callable[[str], None]:
        """Return what makes a machine die behind the cloud's back."""
        pytest.skip("this cloud has no way to let a machine die")

    @pytest.fixture
    def silence(self) -> Callable[[], None]:
        """Return what makes the cloud's API stop answering."""
        pytest.skip("this cloud cannot be silenced")

    @pytest.fixture
    def make(self, cloud: Cloud, machine_type: MachineType) -> Any:
        """Make machines that are ended after the test."""
        made: list[str] = []

        def make(key: str) -> None:
            made.append(key)
            told = {"vmm_url": "http://127.0.0.1:9", "machine_key": key, "enrolment_token": "none"}
            cloud.create(key, machine_type, told)

        yield make
        for key in made:
            try:
                cloud.destroy(key)
            except Unavailable:  # a silenced cloud; whoever made it ends what it holds
                break

    @staticmethod
    def _find(cloud: Cloud, key: str) -> Seen | None:
        found = [one for one in cloud.machines() if one.key == key]
        assert len(found) < 2, "one key is listed twice"
        return found[0] if found else None

    def _wait_for(self, cloud: Cloud, key: str, state: str | None) -> None:
        until = time.monotonic() + _GONE_SECONDS
        while getattr(self._find(cloud, key), "state", None) != state:
            assert time.monotonic() < until, f"{key} never became {state}"
            time.sleep(0.05)

    def test_a_created_machine_is_listed_with_what_the_form_says_of_it(self, cloud: Cloud, make: Any) -> None:
        make("machine-one")
        seen = self._find(cloud, "machine-one")
        assert seen is not None
        assert seen.state == "running"
        assert seen.address
        assert seen.isolation
        assert set(seen.limits) == {"cores", "memory"}
        assert all(isinstance(one, bool) for one in seen.limits.values())

    def test_one_key_makes_one_machine_however_often_it_is_asked_for(self, cloud: Cloud, make: Any) -> None:
        make("machine-one")
        make("machine-one")
        assert [one.key for one in cloud.machines()].count("machine-one") == 1

    def test_two_threads_get_two_machines_with_two_keys(self, cloud: Cloud, make: Any) -> None:
        threads = [threading.Thread(target=make, args=(key,)) for key in ("machine-one", "machine-two")]
        for one in threads:
            one.start()
        for one in threads:
            one.join(60)
        assert {"machine-one", "machine-two"} <= {one.key for one in cloud.machines()}

    def test_a_destroyed_machine_leaves_the_list(self, cloud: Cloud, make: Any) -> None:
        make("machine-one")
        cloud.destroy("machine-one")
        self._wait_for(cloud, "machine-one", None)

    def test_destroying_what_is_not_there_is_done_already(self, cloud: Cloud, make: Any) -> None:
        cloud.destroy("machine-never")
        make("machine-one")
        cloud.destroy("machine-one")
        cloud.destroy("machine-one")

    def test_a_key_can_be_used_again_only_after_its_machine_is_gone(self, cloud: Cloud, make: Any) -> None:
        make("machine-one")
        cloud.destroy("machine-one")
        self._wait_for(cloud, "machine-one", None)
        make("machine-one")
        assert self._find(cloud, "machine-one") is not None

    def test_a_volume_can_be_attached_twice_and_lies_at_one_absolute_path(
        self, cloud: Cloud, make: Any, uid: int
    ) -> None:
        make("machine-one")
        first = cloud.attach("machine-one", "home", "ada", uid, "/home/ada")
        assert first.startswith("/")
        assert cloud.attach("machine-one", "home", "ada", uid, "/home/ada") == first

    def test_home_and_data_volume_are_two(self, cloud: Cloud, make: Any, uid: int) -> None:
        make("machine-one")
        home = cloud.attach("machine-one", "home", "ada", uid, "/home/ada")
        assert cloud.attach("machine-one", "dms", "ada", uid, "/var/lib/alc-dms") != home

    def test_a_volume_for_a_machine_that_is_not_there_is_refused_with_a_reason(self, cloud: Cloud, uid: int) -> None:
        with pytest.raises(AlcError) as refused:
            cloud.attach("machine-never", "home", "ada", uid, "/home/ada")
        assert str(refused.value)
        assert refused.value.next_step

    def test_a_machine_that_died_is_not_listed_as_running(
        self, cloud: Cloud, make: Any, kill: Callable[[str], None]
    ) -> None:
        make("machine-one")
        kill("machine-one")
        until = time.monotonic() + _GONE_SECONDS
        while getattr(self._find(cloud, "machine-one"), "state", "dead") != "dead":
            assert time.monotonic() < until
            time.sleep(0.05)
        cloud.destroy("machine-one")
        self._wait_for(cloud, "machine-one", None)

    def test_a_cloud_that_does_not_answer_is_unavailable_and_never_empty(
        self, cloud: Cloud, make: Any, silence: Callable[[], None]
    ) -> None:
        make("machine-one")
        silence()
        with pytest.raises(Unavailable):
            cloud.machines()
        with pytest.raises(Unavailable):
            cloud.destroy("machine-one")
