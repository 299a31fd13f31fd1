"""ada in Lab on a machine of hers, for the measures that begin there."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from bench.running import instance
from day.browser import Person, browser, sit_down
from day.report import require
from day.steps import DATASETS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from day.system import System


@contextmanager
def ada_in_lab(pictures: Path) -> Iterator[tuple[System, Person]]:
    """Start an instance and sit her down."""
    with instance() as system, browser() as chromium:
        person = sit_down(chromium, system.address, "ada", system.logins["ada"], pictures)
        require(person.log_in(), "the Hub refused ada's own password")
        person.open_form()
        person.choose("small", DATASETS)
        person.start()
        person.wait_for_lab()
        yield system, person
