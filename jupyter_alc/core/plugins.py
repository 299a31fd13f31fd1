"""Parts that are found by name: adapters, clouds, backends, frameworks. A package adds one by an entry point.

What we ship is found by its name too where no package metadata tells it (a bare checkout); an entry point of another
package cannot take the name of a shipped one.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

from jupyter_alc.core.errors import BadInput, Missing

if TYPE_CHECKING:
    from collections.abc import Mapping

SHIPPED: Final[Mapping[str, Mapping[str, str]]] = {
    "jupyter_alc.adapters": {
        "fsspec": "jupyter_alc.dms.adapters.basic:BasicAdapter",
        "http": "jupyter_alc.dms.adapters.http:HttpAdapter",
        "local": "jupyter_alc.dms.adapters.local:LocalAdapter",
        "s3": "jupyter_alc.dms.adapters.s3:S3Adapter",
        "webdav": "jupyter_alc.dms.adapters.webdav:WebdavAdapter",
    },
    "jupyter_alc.clouds": {"local": "jupyter_alc.vmm.clouds.local:LocalNodeDriver"},
    "jupyter_alc.backends": {"standalone": "jupyter_alc.piezo.backends.standalone:StandaloneBackend"},
    "jupyter_alc.frameworks": {"spark": "jupyter_alc.piezo.frameworks.spark:SparkFramework"},
}


def plugin_names(group: str) -> list[str]:
    """Every name that `group` knows on this computer, in order."""
    return sorted({*SHIPPED.get(group, {}), *_installed(group)})


def plugin(group: str, name: str, field: str = "") -> Any:
    """What `name` stands for in `group`, loaded now.

    Raises `BadInput` naming those there are for an unknown name, `Missing` where a package that it needs is not there.
    """
    told = SHIPPED.get(group, {}).get(name) or _installed(group).get(name)
    kind = field or group.rpartition(".")[2].removesuffix("s")
    if told is None:
        raise BadInput(
            f"There is no {kind} called {name[:60]!r}.",
            next_step=f"Use one of {', '.join(plugin_names(group))}, or install the package that brings it.",
            field=kind,
        )
    module, _, attribute = told.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        lacks = getattr(error, "name", None) or told
        raise Missing(f"The {kind} {name!r} lacks a package.", next_step=f"Install {lacks}.") from error


def _installed(group: str) -> dict[str, str]:
    from importlib.metadata import entry_points  # noqa: PLC0415  (tens of milliseconds that only a look-up pays)

    return {point.name: point.value for point in entry_points(group=group)}
