"""A cloud in memory, with everything that goes wrong in real ones: for tests of whatever keeps machines."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from jupyter_alc.core.errors import AlcError, NotFound, Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


@dataclass(frozen=True, slots=True)
class SimulatedMachine:
    """One machine of the simulated cloud, as its list shows it."""

    key: str
    type: str
    state: str = "running"
    address: str | None = "127.0.0.1"
    isolation: str = "simulated"
    limits: Mapping[str, Any] = field(default_factory=lambda: {"cores": True, "memory": True})
    user_data: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(slots=True)
class Faults:
    """What goes wrong: by call (`create`, `machines`, `attach`, `destroy`), how often, and with which error.

    `after` says whether the call had its effect before it failed: the answer was lost, and the caller cannot know.
    """

    left: dict[str, int] = field(default_factory=dict)
    error: AlcError = field(default_factory=lambda: Unavailable("The cloud did not answer.", next_step="Try again."))
    after: bool = False
    delay_seconds: dict[str, float] = field(default_factory=dict)


class SimulatedCloud:
    """Implements the cloud's four calls over a dictionary; safe from any thread.

    `on_create` is called (outside the lock) with each new machine, so that a test can let an agent speak for it.
    """

    def __init__(
        self, *, isolation: str = "simulated", on_create: Callable[[SimulatedMachine], None] | None = None
    ) -> None:
        self.isolation = isolation
        self.on_create = on_create
        self.faults = Faults()
        self.attached: list[tuple[str, str, str, int, str]] = []
        self.calls: list[tuple[str, str]] = []
        self._machines: dict[str, SimulatedMachine] = {}
        self._hidden: set[str] = set()
        self._ever: set[str] = set()
        self._lock = threading.Lock()

    # --- the four calls ---

    def create(self, key: str, type: Any, user_data: Mapping[str, Any]) -> None:
        """Make a machine; one key makes one machine however often it is called."""
        self._fault("create", key, before=True)
        with self._lock:
            new = key not in self._machines
            if new:
                made = SimulatedMachine(key, str(type.id), isolation=self.isolation, user_data=dict(user_data))
                self._machines[key] = made
                self._ever.add(key)
        if new and self.on_create is not None:
            self.on_create(self._machines[key])
        self._fault("create", key, before=False)

    def machines(self) -> list[SimulatedMachine]:
        """Every machine that is not hidden."""
        self._fault("machines", "", before=True)
        with self._lock:
            return [one for one in self._machines.values() if one.key not in self._hidden]

    def attach(self, key: str, volume: str, person: str, uid: int, at: str) -> str:
        """Note that a volume was attached and answer its path."""
        self._fault("attach", key, before=True)
        with self._lock:
            if key not in self._machines:
                raise NotFound("There is no such machine.", next_step="Look at the list.")
            self.attached.append((key, volume, person, uid, at))
        self._fault("attach", key, before=False)
        return at

    def destroy(self, key: str) -> None:
        """End a machine; one that is not there is ended already."""
        self._fault("destroy", key, before=True)
        with self._lock:
            self._machines.pop(key, None)
        self._fault("destroy", key, before=False)

    # --- what a test does to it ---

    def fail(self, call: str, times: int = 1, *, error: AlcError | None = None, after: bool = False) -> None:
        """Let the next `times` calls of this name fail, `after` their effect or before it."""
        self.faults.left[call] = times
        self.faults.after = after
        if error is not None:
            self.faults.error = error

    def kill(self, key: str) -> None:
        """The machine's main process died; the cloud still lists it."""
        with self._lock:
            self._machines[key] = replace(self._machines[key], state="dead")

    def lose(self, key: str) -> None:
        """The machine vanished without anybody asking."""
        with self._lock:
            self._machines.pop(key, None)

    def hide(self, key: str, *, hidden: bool = True) -> None:
        """Let the list leave this machine out, as lists of real clouds sometimes do."""
        with self._lock:
            (self._hidden.add if hidden else self._hidden.discard)(key)

    def leak(self, key: str, type_id: str = "small") -> None:
        """Put a machine there that nobody has a row for."""
        with self._lock:
            self._machines[key] = SimulatedMachine(key, type_id, isolation=self.isolation)

    @property
    def keys(self) -> set[str]:
        """The keys of the machines that are there, hidden ones included."""
        with self._lock:
            return set(self._machines)

    @property
    def ever(self) -> set[str]:
        """Every key that was ever made."""
        with self._lock:
            return set(self._ever)

    def user_data(self, key: str) -> Mapping[str, Any]:
        """What the machine was made with."""
        return self._machines[key].user_data

    def _fault(self, call: str, key: str, *, before: bool) -> None:
        if before:
            self.calls.append((call, key))
            time.sleep(self.faults.delay_seconds.get(call, 0.0))
        if self.faults.after is before:
            return
        with self._lock:
            left = self.faults.left.get(call, 0)
            self.faults.left[call] = max(0, left - 1)
        if left > 0:
            raise self.faults.error
