"""A machine, its data and a Spark cluster of one's own, through JupyterHub.

The root of the package stays light: importing it brings in no web framework, no cloud and no Spark. The parts are
`jupyter_alc.dms` (data), `jupyter_alc.vmm` (machines) and `jupyter_alc.piezo` (clusters); the hooks below are what
Jupyter and IPython look for, and import their rooms only when they are called.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jupyter_alc.magics.client import Alc

try:
    __version__ = version("jupyter-alc")
except PackageNotFoundError:  # a checkout that was never installed
    __version__ = "0.0.0"


def client() -> Alc:
    """The Python calls behind the magics: `.dms`, `.piezo` and `.vmm` of the user whose Jupyter server runs this."""
    from jupyter_alc.magics.client import Alc  # noqa: PLC0415  (only a caller pays for this)

    return Alc()


def _jupyter_server_extension_points() -> list[dict[str, Any]]:
    """Name the server extension to jupyter-server."""
    from jupyter_alc.server.app import AlcExtension  # noqa: PLC0415  (only a Jupyter server pays for this)

    return [{"module": "jupyter_alc.server.app", "app": AlcExtension}]


def _jupyter_labextension_paths() -> list[dict[str, str]]:
    """Name the prebuilt Lab extension to JupyterLab."""
    return [{"src": "labextension", "dest": "jupyter-alc"}]


def load_ipython_extension(shell: Any) -> None:
    """Register `%piezo`, `%dms` and `%vmm`: what `%load_ext jupyter_alc` calls."""
    from jupyter_alc.magics.register import register  # noqa: PLC0415  (only a kernel pays for this)

    register(shell)


def unload_ipython_extension(shell: Any) -> None:
    """Take the magics away again."""
    from jupyter_alc.magics.register import unregister  # noqa: PLC0415  (only a kernel pays for this)

    unregister(shell)
