"""The embedded cloud as a libcloud driver: it asks the launcher, over its Unix socket."""

from __future__ import annotations

import json
import socket
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, Final

from libcloud.common.types import LibcloudError
from libcloud.compute.base import Node, NodeDriver, NodeImage, NodeSize, StorageVolume
from libcloud.compute.providers import DRIVERS, get_driver, set_driver
from libcloud.compute.types import NodeState

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

PROVIDER: Final = "alc-local"
_SECONDS: Final = 90.0
_LONGEST: Final = 1 << 22
_STATES: Final = {"running": NodeState.RUNNING, "dead": NodeState.TERMINATED}


class LauncherRefusedError(LibcloudError):  # type: ignore[misc]
    """The launcher said no; `told` is its error as JSON."""

    def __init__(self, told: Mapping[str, Any], driver: LocalNodeDriver) -> None:
        super().__init__(str(told.get("message", "")), driver=driver)
        self.told = dict(told)


class LocalNodeDriver(NodeDriver):  # type: ignore[misc]
    """Machines of this host. `key` is the path of the launcher's socket; `sizes` are what `list_sizes` offers.

    One driver per thread, as with every libcloud driver. Raises `LauncherRefusedError`; OSError when nobody answers.
    """

    type = PROVIDER
    name = "jupyter-alc local"
    website = "https://jupyter-alc.readthedocs.io"
    features: ClassVar[dict[str, list[str]]] = {"create_node": []}

    def __init__(self, key: str, sizes: Iterable[Mapping[str, Any]] = (), **_: Any) -> None:
        self.key = key
        self.secret = None
        self._sizes = tuple(sizes)

    def _ask(self, verb: str, **told: Any) -> dict[str, Any]:
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(_SECONDS)
            line.connect(str(self.key))
            line.sendall(json.dumps({"verb": verb, **told}).encode() + b"\n")
            with line.makefile("rb") as answers:
                answer = json.loads(answers.readline(_LONGEST) or b"null")
        if not isinstance(answer, dict):
            raise ConnectionResetError("the launcher hung up")
        if "error" in answer:
            raise LauncherRefusedError(answer["error"], self)
        return answer

    def list_nodes(self, ex_metadata: Mapping[str, str] | None = None) -> list[Any]:
        """Every machine of this launcher, the dead ones too."""
        del ex_metadata
        return [self._node(one) for one in self._ask("list")["machines"]]

    def list_sizes(self, location: object = None) -> list[Any]:
        """The sizes this driver was made with."""
        del location
        return [self.ex_size(**one) for one in self._sizes]

    def list_images(self, location: object = None) -> list[Any]:
        """The environments that machines can be made of."""
        del location
        return [self.ex_image(name) for name in self._ask("list")["environments"]]

    def ex_size(self, *, id: str, cores: float, memory_bytes: int) -> Any:
        """Describe a size; this cloud takes any."""
        extra = {"cores": cores, "memory_bytes": memory_bytes}
        return NodeSize(id, id, memory_bytes // 10**6, 0, 0, 0.0, driver=self, extra=extra)

    def ex_image(self, name: str) -> Any:
        """Describe an environment as an image."""
        return NodeImage(name, name, driver=self)

    def create_node(  # noqa: PLR0917  (libcloud's order)
        self,
        name: str,
        size: Any,
        image: Any,
        location: object = None,
        auth: object = None,
        ex_metadata: Mapping[str, str] | None = None,
        ex_user_data: Mapping[str, Any] | None = None,
    ) -> Any:
        """Make the machine `name`; the same name again finds the first one."""
        del location, auth, ex_metadata
        answer = self._ask(
            "make",
            key=name,
            type=size.id,
            cores=size.extra["cores"],
            memory_bytes=size.extra["memory_bytes"],
            environment=image.id,
            user_data=dict(ex_user_data or {}),
        )
        return self._node(answer["machine"])

    def destroy_node(self, node: Any) -> bool:
        """End a machine; one that is not there is ended already."""
        return bool(self._ask("end", key=node.id)["gone"])

    def ex_node(self, key: str) -> Any:
        """Name a machine without asking for it."""
        return Node(key, key, NodeState.UNKNOWN, [], [], driver=self)

    def create_volume(self, size: int, name: str, location: object = None, snapshot: object = None) -> Any:
        """Name a person's volume, `<person>/home` or `<person>/dms`; its folder is made when it is attached."""
        del location, snapshot
        return StorageVolume(name, name, size, driver=self, extra={})

    def attach_volume(self, node: Any, volume: Any, device: str | None = None, ex_uid: int = -1) -> bool:
        """Attach `volume` at `device`, owned by `ex_uid`; `volume.extra["path"]` then tells its path inside."""
        person, _, kind = volume.name.rpartition("/")
        answer = self._ask("attach", key=node.id, volume=kind, person=person, uid=ex_uid, at=device)
        volume.extra["path"] = answer["path"]
        return True

    def _node(self, told: Mapping[str, Any]) -> Any:
        return Node(
            told["key"],
            told["key"],
            _STATES.get(told["state"], NodeState.UNKNOWN),
            [],
            [told["address"]],
            driver=self,
            extra={**told},
            created_at=datetime.fromisoformat(told["started_at"]),
        )


def local_driver() -> type[LocalNodeDriver]:
    """Return the driver's class by libcloud's own registry, registering it if this process has not yet."""
    if PROVIDER not in DRIVERS:
        set_driver(PROVIDER, __name__, LocalNodeDriver.__name__)
    found: type[LocalNodeDriver] = get_driver(PROVIDER)
    return found


def connect(socket_path: Path) -> LocalNodeDriver:
    """Return a driver for the launcher at `socket_path`; asks nothing yet."""
    return local_driver()(str(socket_path))
