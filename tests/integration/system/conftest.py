"""The real system, once for all tests of a module, as root: only so are two people kept apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from integration.system.world import World, a_world

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with a_world(port=8900) as made:
        yield made
