"""Find the adapter that a dataset names."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Final, cast

from jupyter_alc.core.errors import BadInput, Missing
from jupyter_alc.dms.adapters.basic import BasicAdapter
from jupyter_alc.dms.adapters.local import LocalAdapter
from jupyter_alc.dms.adapters.webdav import WebdavAdapter

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from jupyter_alc.core.dataset import MountedDataset
    from jupyter_alc.dms.adapters.interface import Adapter

GROUP: Final = "jupyter_alc.adapters"
SHIPPED: Final[Mapping[str, type]] = {"local": LocalAdapter, "webdav": WebdavAdapter, "fsspec": BasicAdapter}


def known_adapters() -> list[str]:
    """The names that a catalogue may use."""
    return sorted({*SHIPPED, *(point.name for point in entry_points(group=GROUP))})


def open_adapter(dataset: MountedDataset) -> Adapter:
    """Make the adapter of `dataset`. Opens no connection; `Missing` when what it needs is not installed."""
    made = _factory(dataset.adapter)(dataset.url, dict(dataset.credentials))
    return cast("Adapter", made)


def _factory(name: str) -> Callable[[str, Mapping[str, str]], object]:
    if name in SHIPPED:
        return SHIPPED[name]
    found = list(entry_points(group=GROUP, name=name))
    if not found:
        raise BadInput(
            f"There is no adapter called {name!r}.",
            next_step=f"Use one of {', '.join(known_adapters())}, or install the package that brings it.",
            field="adapter",
        )
    try:
        return cast("Callable[[str, Mapping[str, str]], object]", found[0].load())
    except ImportError as error:
        raise Missing(f"The adapter {name!r} lacks a package.", next_step=f"Install {error.name}.") from error
