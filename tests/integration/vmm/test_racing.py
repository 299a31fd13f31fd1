"""Semantics 3.1 between processes: two claimants never get one machine, whoever is killed meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.integration.vmm.racing import KIND, Race

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.integration


@pytest.mark.timeout(400)
def test_processes_that_race_for_one_store_and_are_killed_never_share_a_machine(tmp_path: Path) -> None:
    race = Race(tmp_path, claimants=4, claims=50)
    race.run(seconds=350)
    assert len(race.noted()) == 200
    assert race.doubles() == []
    assert race.lost() == []
    assert race.most_living <= KIND.max_total
    assert race.killed > 0
