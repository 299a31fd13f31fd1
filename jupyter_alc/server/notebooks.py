"""Which notebook a reader is (S4): the sessions of processes that the data service counts, joined with our kernels.

A kernel's process begins a session of its own, so its pid is the session's id. Both sides look at the same table of
processes: the data service of a machine and its Jupyter server run in one sandbox. Where they do not, a reader is told
by its name, as one that is no notebook.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from jupyter_alc.dms.sessions import opener_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MOST_REMEMBERED: Final = 1000
FIGURES: Final = ("needed_bytes", "moved_bytes", "cached_bytes")


@dataclass(frozen=True, slots=True)
class RunningKernel:
    """A kernel of this server: its id, the session of its process (id and begin), and its notebook ("" for none)."""

    id: str
    sid: int
    since: int
    path: str


class Notebooks:
    """Remembers which session was whose kernel, so that a restarted kernel's bytes still count for its notebook."""

    def __init__(self) -> None:
        self._kernel_of: OrderedDict[tuple[int, int], str] = OrderedDict()
        self._path_of: OrderedDict[str, str] = OrderedDict()

    def note(self, kernels: Sequence[RunningKernel]) -> None:
        """Remember the kernels that run now; a notebook that was renamed is known by its new name."""
        for one in kernels:
            self._kernel_of[one.sid, one.since] = one.id
            if one.path or one.id not in self._path_of:
                self._path_of[one.id] = one.path
        for known in (self._kernel_of, self._path_of):
            while len(known) > MOST_REMEMBERED:
                known.popitem(last=False)

    def told(self, readers: Sequence[Mapping[str, Any]], kernels: Sequence[RunningKernel]) -> dict[str, Any]:
        """`{"notebooks", "others"}`: the sums of each notebook, and of the readers that are none, by their names."""
        self.note(kernels)
        notebooks: dict[str, dict[str, Any]] = {}
        others: dict[str, dict[str, Any]] = {}
        for reader in readers:
            kernel = self._kernel_of.get((int(reader["sid"]), int(reader.get("since") or 0)), "")
            path = self._path_of.get(kernel, "")
            if path:
                _add(notebooks.setdefault(path, {"path": path, "kernel": kernel}), reader)
            else:
                name = "a kernel without a notebook" if kernel else str(reader.get("name") or "others")
                _add(others.setdefault(name, {"name": name}), reader)
        return {"notebooks": list(notebooks.values()), "others": list(others.values())}


def _add(sums: dict[str, Any], reader: Mapping[str, Any]) -> None:
    for figure in FIGURES:
        sums[figure] = sums.get(figure, 0) + int(reader.get(figure) or 0)


async def running_kernels(kernel_manager: Any, session_manager: Any) -> list[RunningKernel]:
    """The kernels of a Jupyter server whose process is on this computer."""
    paths = {
        str(one["kernel"]["id"]): str(one.get("path") or "")
        for one in await session_manager.list_sessions()
        if one.get("type") == "notebook" and one.get("kernel")
    }
    found = []
    for id in kernel_manager.list_kernel_ids():
        pid = getattr(getattr(kernel_manager.get_kernel(id), "provisioner", None), "pid", None)
        if isinstance(pid, int) and pid > 0:
            opener = opener_of(pid)
            found.append(RunningKernel(id, opener.sid, opener.since, paths.get(id, "")))
    return found
