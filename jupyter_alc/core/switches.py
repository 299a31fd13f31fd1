"""Switches of the mount that whoever runs `alc up` may turn; machines and their data services are told them."""

from __future__ import annotations

import logging
import os
from functools import cache
from typing import Final

log = logging.getLogger(__name__)
POLLING_WAIT: Final = "ALC_DMS_POLLING_WAIT"
PUSH_AHEAD: Final = "ALC_DMS_PUSH_AHEAD"
_UNTURNED: Final = {POLLING_WAIT: True, PUSH_AHEAD: False}


def turned() -> dict[str, str]:
    """Those that are set in this process's environment."""
    return {name: os.environ[name] for name in _UNTURNED if name in os.environ}


def is_on(name: str) -> bool:
    """Whether a switch is `on` and not `off`; as it is where nobody turned it if it says neither."""
    said = os.environ.get(name)
    if said in {"on", "off"}:
        return said == "on"
    if said is not None:
        _warn(name, said)
    return _UNTURNED[name]


@cache  # once is enough
def _warn(name: str, said: str) -> None:
    stays = "on" if _UNTURNED[name] else "off"
    log.warning("%s=%r means nothing: write on or off. It stays %s.", name, said, stays)
