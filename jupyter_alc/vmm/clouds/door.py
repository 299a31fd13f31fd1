"""The one door to libcloud: four calls that block, may be repeated, come from any thread and raise only AlcError."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from libcloud.common.exceptions import BaseHTTPError
from libcloud.common.types import InvalidCredsError, LibcloudError
from libcloud.compute.types import NodeState

from jupyter_alc.core.errors import AlcError, BadInput, Denied, Unavailable, from_json
from jupyter_alc.core.plugins import plugin
from jupyter_alc.vmm.clouds.local import LauncherRefusedError, LocalNodeDriver, connect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from jupyter_alc.vmm.types import MachineType

GROUP: Final = "jupyter_alc.clouds"
LOCAL: Final = "local"
_DEAD: Final = frozenset({NodeState.TERMINATED, NodeState.ERROR})


@dataclass(frozen=True, slots=True)
class CloudMachine:
    """One machine in the cloud's list. What the cloud does not call dead counts as running."""

    key: str
    state: str
    address: str | None
    isolation: str
    limits: Mapping[str, Any] = field(default_factory=dict)


class LibcloudCloud:
    """A cloud behind libcloud, with one driver per thread, because drivers are not made to be shared."""

    def __init__(self, connect_driver: Callable[[], LocalNodeDriver]) -> None:
        self._connect = connect_driver
        self._held = threading.local()

    @property
    def _driver(self) -> LocalNodeDriver:
        if not hasattr(self._held, "driver"):
            self._held.driver = self._connect()
        driver: LocalNodeDriver = self._held.driver
        return driver

    def create(self, key: str, type: MachineType, user_data: Mapping[str, Any]) -> None:
        """Make the machine `key`; one key makes one machine however often it is called."""
        with _translated():
            driver = self._driver
            size = driver.ex_size(id=type.id, cores=type.cores, memory_bytes=type.memory_bytes)
            driver.create_node(key, size, driver.ex_image(type.environment), ex_user_data=user_data)

    def machines(self) -> Sequence[CloudMachine]:
        """Every machine of this deployment; never a part of them."""
        with _translated():
            return [_seen(node) for node in self._driver.list_nodes()]

    def attach(self, key: str, volume: str, person: str, uid: int, at: str) -> str:
        """Attach a person's volume (`home` or `dms`), made if need be; returns the path it has on the machine."""
        with _translated():
            driver = self._driver
            named = driver.create_volume(0, f"{person}/{volume}")
            driver.attach_volume(driver.ex_node(key), named, device=at, ex_uid=uid)
            return str(named.extra["path"])

    def destroy(self, key: str) -> None:
        """End the machine; one that is not there is ended already."""
        with _translated():
            self._driver.destroy_node(self._driver.ex_node(key))


def _seen(node: Any) -> CloudMachine:
    return CloudMachine(
        key=node.name,
        state="dead" if node.state in _DEAD else "running",
        address=next(iter(node.private_ips), None),
        isolation=str(node.extra.get("isolation", "none")),
        limits=dict(node.extra.get("limits") or {}),
    )


@contextmanager
def _translated() -> Iterator[None]:
    """Turn what libcloud and its transports raise into our errors; no foreign text goes through."""
    try:
        yield
    except LauncherRefusedError as error:
        raise from_json(error.told) from error
    except InvalidCredsError as error:
        raise Denied("The cloud does not accept our credentials.", next_step="Tell the operator.") from error
    except BaseHTTPError as error:
        raise _by_status(error) from error
    except (LibcloudError, OSError, ValueError, KeyError) as error:  # requests' errors are OSErrors
        raise Unavailable("The cloud did not answer.", next_step="It is asked again.") from error


def _by_status(error: Any) -> AlcError:
    if error.code in {400, 422}:
        return BadInput("The cloud does not understand the machine type.", next_step="Tell the operator.")
    if error.code in {401, 403}:
        return Denied("The cloud refused.", next_step="Tell the operator.")
    return Unavailable(f"The cloud answered {error.code}.", next_step="It is asked again.")


def open_cloud(address: Path, name: str = LOCAL) -> LibcloudCloud:
    """Return the cloud `name` behind `address` (the local one: its launcher's socket); asks nothing yet.

    Other clouds are drivers that a package names at the entry point `jupyter_alc.clouds`; raises `BadInput` naming
    those there are for an unknown one.
    """
    if name == LOCAL:
        return LibcloudCloud(lambda: connect(address))
    driver = plugin(GROUP, name)
    return LibcloudCloud(lambda: driver(str(address)))
