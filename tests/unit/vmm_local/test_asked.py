"""What the launcher understands, and by which name it refuses the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from jupyter_alc.core.clock import SystemClock
from jupyter_alc.core.errors import AlcError
from jupyter_alc.vmm.clouds import asked
from jupyter_alc.vmm.clouds.launcher import Door, Launcher
from jupyter_alc.vmm.clouds.plain import Plain
from jupyter_alc.vmm.clouds.records import Records

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.unit

MAKE: dict[str, Any] = {
    "verb": "make",
    "key": "machine-one",
    "type": "small",
    "cores": 1,
    "memory_bytes": 10**9,
    "environment": "spark",
    "user_data": {},
}
ATTACH: dict[str, Any] = {
    "verb": "attach",
    "key": "machine-one",
    "volume": "home",
    "person": "ada",
    "uid": 53000,
    "at": "/home/ada",
}


@pytest.fixture
def launcher(tmp_path: Path) -> Launcher:
    maker = Plain(state=tmp_path, environments=tmp_path, run=tmp_path, uids=asked.PEOPLE)
    return Launcher(Records(tmp_path / "machines"), maker, SystemClock())


@pytest.mark.parametrize(
    ("told", "field"),
    [
        ({"verb": "make", "key": "x"}, ""),
        ({**MAKE, "more": 1}, ""),
        ({**MAKE, "key": "../x"}, "key"),
        ({**MAKE, "key": "machine-one\n"}, "key"),
        ({**MAKE, "cores": -1}, "cores"),
        ({**MAKE, "cores": True}, "cores"),
        ({**MAKE, "cores": float("nan")}, "cores"),
        ({**MAKE, "memory_bytes": 1}, "memory_bytes"),
        ({**MAKE, "environment": "../../etc"}, "environment"),
        ({**MAKE, "user_data": []}, "user_data"),
        ({**MAKE, "user_data": {"x": "y" * 70_000}}, "user_data"),
        ({**ATTACH, "uid": 0}, "uid"),
        ({**ATTACH, "uid": 52000}, "uid"),
        ({**ATTACH, "at": "/etc"}, "at"),
        ({**ATTACH, "at": "/home/ada/../x"}, "at"),
        ({**ATTACH, "at": "/home/brahe"}, "at"),
        ({**ATTACH, "volume": "../x"}, "volume"),
        ({**ATTACH, "volume": ["home"]}, "volume"),
        ({**ATTACH, "person": "a\0b"}, "person"),
        ({**ATTACH, "person": ""}, "person"),
        ({"verb": "end", "key": ".."}, "key"),
        ({"verb": "shell"}, "verb"),
        ({"verb": "list", "more": 1}, "verb"),
        ({}, "verb"),
        ([], ""),
    ],
)
def test_what_is_not_understood_is_refused_by_name(launcher: Launcher, told: Any, field: str) -> None:
    with pytest.raises(AlcError) as refused:
        launcher.answer(told)
    assert refused.value.field == field
    assert refused.value.next_step


@pytest.mark.parametrize("line", [b"\xff\n", b"{\n", b"[" * 100_000 + b"\n", b"null\n"])
def test_a_line_that_is_no_request_is_answered_and_ends_nothing(launcher: Launcher, line: bytes) -> None:
    answer = Door(launcher, frozenset()).answer(line)
    assert answer["error"]["code"] == "bad_input"


def test_a_machine_that_was_never_made_gets_no_volume_and_can_be_ended(launcher: Launcher) -> None:
    with pytest.raises(AlcError, match="There is no machine"):
        launcher.answer(ATTACH)
    assert launcher.answer({"verb": "end", "key": "machine-one"}) == {"gone": True}


def test_an_environment_that_was_not_built_is_told(launcher: Launcher) -> None:
    with pytest.raises(AlcError, match="There is no environment spark"):
        launcher.answer(MAKE)
    assert launcher.answer({"verb": "list"})["machines"] == []


def test_a_persons_strange_name_leads_to_a_folder_of_her_own() -> None:
    from jupyter_alc.vmm.people import account_name

    name = "Ada/../Lovelace"
    told = {**ATTACH, "person": name, "at": f"/home/{account_name(name)}"}
    assert "/" not in account_name(name)
    assert asked.attach_of(told, asked.PEOPLE).at == told["at"]
