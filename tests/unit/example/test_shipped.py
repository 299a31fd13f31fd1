"""An example notebook on its way into a home."""

from __future__ import annotations

import resource
from typing import TYPE_CHECKING

import pytest

from jupyter_alc.core.errors import Denied, NotFound
from jupyter_alc.example.shipped import copy_notebook, shipped

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.unit


def test_the_sans_example_is_shipped() -> None:
    assert "sans_guinier" in shipped()


def test_a_copy_is_made_once_and_an_edited_one_is_left_alone(tmp_path: Path) -> None:
    first = copy_notebook("sans_guinier", tmp_path)
    assert first == tmp_path / "sans_guinier.ipynb"
    first.write_text("mine")
    assert copy_notebook("sans_guinier", tmp_path).read_text() == "mine"


@pytest.mark.parametrize("name", ["", "none", "../guinier", "sans_guinier.ipynb"])
def test_another_name_is_not_found(tmp_path: Path, name: str) -> None:
    with pytest.raises(NotFound, match="no such example"):
        copy_notebook(name, tmp_path)


def test_a_home_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(Denied, match="could not be copied"):
        copy_notebook("sans_guinier", tmp_path / "gone")


def test_a_copy_that_cannot_be_written_whole_is_not_there_at_all(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(Denied):
            copy_notebook("sans_guinier", tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not list(tmp_path.iterdir())
    assert len(copy_notebook("sans_guinier", tmp_path).read_bytes()) > 1000
