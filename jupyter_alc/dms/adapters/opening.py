"""Find the adapter that a dataset names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from jupyter_alc.core.plugins import plugin, plugin_names

if TYPE_CHECKING:
    from jupyter_alc.core.dataset import MountedDataset
    from jupyter_alc.dms.adapters.interface import Adapter

GROUP: Final = "jupyter_alc.adapters"
_WEB: Final = ("http://", "https://")


def known_adapters() -> list[str]:
    """The names that a catalogue may use."""
    return plugin_names(GROUP)


def open_adapter(dataset: MountedDataset) -> Adapter:
    """Make the adapter of `dataset`. Opens no connection.

    What fsspec would read over HTTP the adapter `http` does: fsspec takes any page for a folder, folders for files, and
    whatever goes wrong for an absence.

    Raises `BadInput` naming the adapters there are for an unknown one, `Missing` when what it needs is not installed.
    """
    name = "http" if dataset.adapter == "fsspec" and dataset.url.startswith(_WEB) else dataset.adapter
    return cast("Adapter", plugin(GROUP, name)(dataset.url, dict(dataset.credentials)))
