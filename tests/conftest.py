"""What every tier shares: a test whose server, device or right is not there is skipped with the reason."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

TIERS = ("unit", "contract", "integration", "hub", "spark", "browser")  # a test belongs to the heaviest of its marks


def _missing(mark: str) -> str | None:
    """Say why tests with this mark cannot run here; None when they can."""
    if mark == "root" and os.geteuid() != 0:
        return "needs root: run the tests as root to see it"
    if mark == "fuse" and not Path("/dev/fuse").exists():
        return "needs /dev/fuse: load the fuse module"
    if mark == "fuse" and not os.access("/dev/fuse", os.R_OK | os.W_OK):
        return "needs a /dev/fuse that this account may open: chmod 0666 /dev/fuse, as udev does"
    if mark == "spark" and shutil.which("java") is None:
        return "needs Java: install openjdk-17-jre-headless"
    if mark == "browser" and not Path("/usr/bin/chromium").exists():
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
