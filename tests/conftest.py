"""What every tier shares: a test whose server, device or right is not there is skipped with the reason."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from jupyter_alc.dms.fuse.device import DEVICE, lacking
from labs.ceph import Ceph
from labs.nginx import Nginx

if TYPE_CHECKING:
    from collections.abc import Iterator

TIERS = (
    "unit",
    "contract",
    "integration",
    "ceph",
    "hub",
    "spark",
    "browser",
)  # a test belongs to the heaviest of its marks


# how long an example takes, and how long it is made for, is told by what else the computer does
settings.register_profile("ours", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ours")


def _missing(mark: str) -> str | None:
    """Say why tests with this mark cannot run here; None when they can."""
    if mark == "root" and os.geteuid() != 0:
        return "needs root: run the tests as root to see it"
    if mark == "fuse" and (lack := lacking()) is not None:
        return f"needs {DEVICE}, which {lack.found}: {lack.cure}"
    if mark == "ceph":
        return Ceph.lacking()
    if mark == "nginx":
        return Nginx.lacking()
    if mark == "spark" and shutil.which("java") is None:
        return "needs Java: install openjdk-17-jre-headless"
    if mark == "browser" and shutil.which("chromium") is None:
        return "needs Chromium: install the package chromium"
    return None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what cannot run here, and refuse a test without a tier."""
    for item in items:
        marks = {mark.name for mark in item.iter_markers()}
        if not marks & set(TIERS):
            message = f"{item.nodeid} has no tier: mark it with one of {', '.join(TIERS)}"
            raise pytest.UsageError(message)
        for mark in sorted(marks):
            reason = _missing(mark)
            if reason is not None:
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def ceph(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ceph]:
    """One Ceph cluster for all tests that want it; each makes its own bucket."""
    with Ceph(tmp_path_factory.mktemp("ceph") / "lab") as lab:
        yield lab
