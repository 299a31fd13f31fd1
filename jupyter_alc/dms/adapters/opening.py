"""Find the adapter that a dataset names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from jupyter_alc.core.plugins import plugin, plugin_names

if TYPE_CHECKING:
    from jupyter_alc.core.dataset import MountedDataset
    from jupyter_alc.dms.adapters.interface import Adapter

GROUP: Final = "jupyter_alc.adapters"


def known_adapters() -> list[str]:
    """The names that a catalogue may use."""
    return plugin_names(GROUP)


def open_adapter(dataset: MountedDataset) -> Adapter:
    """Make the adapter of `dataset`. Opens no connection.

    Raises `BadInput` naming the adapters there are for an unknown one, `Missing` when what it needs is not installed.
    """
    return cast("Adapter", plugin(GROUP, dataset.adapter)(dataset.url, dict(dataset.credentials)))
