"""What runs in a cluster. Each framework is one module here, found by the entry point `jupyter_alc.frameworks`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

from jupyter_alc.core.plugins import plugin

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from jupyter_alc.piezo.plan import Software

GROUP: Final = "jupyter_alc.frameworks"


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of a running query."""

    id: int
    tasks: int
    tasks_done: int
    bytes_read: int
    done: bool


@dataclass(frozen=True, slots=True)
class Progress:
    """How far one query is.

    When `done` without having `failed`, `tasks_done` equals `tasks`: skipped stages never report an end of their own.
    """

    operation: str
    stages: tuple[Stage, ...]
    tasks: int
    tasks_done: int
    tasks_running: int
    bytes_read: int
    done: bool
    failed: bool = False


class Framework(Protocol):
    """The client's and the software's side of a framework.

    Errors are `AlcError` only; whoever connects also stops the session.
    """

    name: str

    def software(self) -> Software:
        """Where its programs lie; raises `Missing`, naming what to do, where this computer lacks one."""
        ...

    def version(self) -> str:
        """Its version; raises `Missing`."""
        ...

    def connect(self, connect_url: str, *, name: str, deadline_seconds: float = 20.0) -> Any:
        """Open the session `name`, or find it again; raises `Denied` for a wrong token, `Unavailable` for silence."""
        ...

    def on_progress(self, session: Any, tell: Callable[[Progress], None]) -> Callable[[], None]:
        """Have `tell` called, in the querying thread, while queries of `session` run; returns what ends it."""
        ...

    def interrupt(self, session: Any) -> int:
        """End every running query of `session`; returns how many there were."""
        ...


def framework_named(name: str, environment: Mapping[str, str] | None = None) -> Framework:
    """The framework of that name; raises `BadInput` naming those there are for an unknown one."""
    return cast("Framework", plugin(GROUP, name)(environment))
