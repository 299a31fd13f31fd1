"""What a machine lacks is on its card before anybody clicks, and keeps nobody from her machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from jupyter_alc.core.errors import Missing
from jupyter_alc.vmm.offers import NO_FOLDERS, NO_SPARK, Scene, offer_json
from jupyter_alc.vmm.reports import Report
from tests.unit.vmm.conftest import TIMING, Small

if TYPE_CHECKING:
    from collections.abc import Mapping

pytestmark = pytest.mark.unit

WHOLE = {"fuse": True, "spark": True, "java": True}


def note(small: Small) -> str:
    scene = Scene(rows=small.store.rows(), usual={}, timing=TIMING, now=small.clock.seconds)
    return str(offer_json(small.types["small"], scene)["lacks_note"])


def boots(small: Small, found: Mapping[str, Any]) -> str:
    """A machine comes up and tells what it found about itself."""
    small.keep()
    key = small.store.rows().machines[-1].key
    small.store.enrol(key, small.cloud.user_data(key)["enrolment_token"])
    small.store.report(key, Report("ready", self_test=found))
    small.keep()
    return key


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (WHOLE, ""),
        ({}, ""),
        ({**WHOLE, "fuse": False}, NO_FOLDERS),
        ({**WHOLE, "java": False}, NO_SPARK),
        ({"fuse": False, "spark": True, "java": False}, f"{NO_FOLDERS} {NO_SPARK}"),
        ({"fuse": True, "spark": False, "java": False}, ""),
    ],
)
def test_a_card_says_what_its_machines_found_missing(small: Small, found: dict[str, bool], told: str) -> None:
    assert note(small) == ""
    boots(small, found)
    assert note(small) == told


def test_a_cured_computer_is_told_by_the_next_machine(small: Small) -> None:
    boots(small, {**WHOLE, "fuse": False})
    small.claim("ada")
    boots(small, WHOLE)
    assert note(small) == ""


def test_a_start_without_folders_goes_on_and_says_why_until_there_are_some(small: Small) -> None:
    key = boots(small, WHOLE)
    ident = small.claim("ada")
    mine: dict[str, Any] = {"allocation": ident, "fence": small.store.machine(key).fence}
    why = Missing("No folders.", next_step="Use dms://.").as_json()
    small.store.report(key, Report("stage", stage="account", **mine))
    small.store.report(key, Report("stage", stage="mount", problem=why, **mine))
    (told,) = small.store.told([small.store.allocation(ident)])
    assert (told["state"], told["problem"]) == ("mounting", why)
    assert {one["name"]: one["state"] for one in told["stages"]}["mount"] == "done"
    small.store.report(key, Report("stage", stage="mount", **mine))
    assert small.store.allocation(ident).problem is None
