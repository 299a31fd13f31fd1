"""A writable dataset whose archive is a folder, for tests that look behind it."""

from __future__ import annotations

import pytest

from jupyter_alc.core.dataset import Access, MountedDataset


@pytest.fixture
def behind(tmp_path):
    """The archive's own folder."""
    folder = tmp_path / "archive"
    folder.mkdir()
    return folder


@pytest.fixture
def dataset(behind):
    """The dataset `ds` on it."""
    return MountedDataset("ds", "Data", "local", f"file://{behind}", Access.WRITE)
