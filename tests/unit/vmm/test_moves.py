"""Semantics 2: any move that is not listed is refused, on whichever path it comes."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import update

from jupyter_alc.core.errors import IllegalMove
from jupyter_alc.core.states import ALLOCATION_MOVES, MACHINE_MOVES, AllocationState, MachineState
from jupyter_alc.vmm.moves import move_allocation
from jupyter_alc.vmm.rows import find_allocation
from jupyter_alc.vmm.schema import ALLOCATION, MACHINE

if TYPE_CHECKING:
    from tests.unit.vmm.conftest import Small

pytestmark = pytest.mark.unit


def test_every_machine_move_is_done_or_refused_as_the_table_says(small: Small) -> None:
    small.keep()
    (key,) = (one.key for one in small.store.rows().machines)
    for now, then in itertools.product(MachineState, MachineState):
        with small.store._write() as connection:
            connection.execute(update(MACHINE).values(state=now))
        if then in MACHINE_MOVES[now]:
            assert small.store.move(key, then, "a test").state is then
        else:
            with pytest.raises(IllegalMove, match=f"is {now} and cannot become {then}"):
                small.store.move(key, then, "a test")
            assert small.store.machine(key).state is now


def test_every_allocation_move_is_done_or_refused_as_the_table_says(small: Small) -> None:
    ident = small.claim("ada")
    for now, then in itertools.product(AllocationState, AllocationState):
        with small.store._write() as connection:
            connection.execute(update(ALLOCATION).values(state=now))
        if then in ALLOCATION_MOVES[now]:
            with small.store._write() as connection:
                assert move_allocation(connection, ident, then, 0.0, "a test").state is then
        else:
            with small.store._write() as connection, pytest.raises(IllegalMove):
                move_allocation(connection, ident, then, 0.0, "a test")
            with small.store._read() as connection:
                assert find_allocation(connection, ident).state is now


def test_the_semantics_page_lists_every_state() -> None:
    from pathlib import Path

    page = (Path(__file__).parents[3] / "docs/semantics/vmm.md").read_text(encoding="utf-8")
    assert not [one for one in (*MachineState, *AllocationState) if one not in page and one != AllocationState.REFUSED]
