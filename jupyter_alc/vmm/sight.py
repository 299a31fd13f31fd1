"""What the keeper sees of a cloud. The door to libcloud answers in these words, and so does the simulated cloud."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from jupyter_alc.vmm.types import MachineType


class Seen(Protocol):
    """One machine in the cloud's list; `state` is `running` or `dead`, `isolation` is `none` or how it is isolated."""

    @property
    def key(self) -> str:
        """The key it was made with."""
        ...

    @property
    def state(self) -> str:
        """`running` or `dead`."""
        ...

    @property
    def address(self) -> str | None:
        """Where the Hub reaches it."""
        ...

    @property
    def isolation(self) -> str:
        """`none`, or how it is kept apart from other machines."""
        ...

    @property
    def limits(self) -> Mapping[str, Any]:
        """What is enforced: `{"cores": bool, "memory": bool}`."""
        ...


class Cloud(Protocol):
    """The four calls; each blocks, has a deadline, is safe to repeat, may come from any thread, raises only `AlcError`.

    `Unavailable` means that the outcome is unknown.
    """

    def create(self, key: str, type: MachineType, user_data: Mapping[str, Any]) -> None:
        """Make a machine; one key makes one machine however often it is called."""
        ...

    def machines(self) -> Sequence[Seen]:
        """Every machine of this deployment, complete, or an error: never a part of them."""
        ...

    def attach(self, key: str, volume: str, person: str, uid: int, at: str) -> str:
        """Attach a person's volume (`home` or `dms`) and return the path it has on the machine."""
        ...

    def destroy(self, key: str) -> None:
        """End a machine; one that is not there is ended already."""
        ...
