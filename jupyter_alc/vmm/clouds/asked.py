"""What callers of the launcher may say, checked whole: unknown words, wild numbers and paths are refused."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from jupyter_alc.core.errors import BadInput
from jupyter_alc.core.names import identifier
from jupyter_alc.vmm.people import account_name

if TYPE_CHECKING:
    from collections.abc import Mapping

PEOPLE: Final = range(53000, 65000)
DMS_VOLUME_AT: Final = "/var/lib/alc-dms"
VOLUMES: Final = ("home", "dms")
_LONGEST_USER_DATA: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class Make:
    """Make a machine."""

    key: str
    type: str
    cores: float
    memory_bytes: int
    environment: str
    user_data: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Attach:
    """Put a person's volume into a machine."""

    key: str
    volume: str
    person: str
    uid: int
    at: str


def _only(told: Mapping[str, Any], names: set[str]) -> None:
    strange = sorted(set(told) - names - {"verb"})
    missing = sorted(names - set(told))
    if strange or missing:
        words = ", ".join([*(f"unknown {one!r}"[:60] for one in strange), *(f"no {one}" for one in missing)])
        raise BadInput(
            f"The request is not understood: {words}.", next_step=f"Send exactly: {', '.join(sorted(names))}."
        )


def _number(value: object, name: str, least: float, most: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise BadInput(f"{name} is not right.", next_step=f"Give a number from {least:g} to {most:g}.", field=name)
    return value


def key_of(told: Mapping[str, Any]) -> str:
    """Read a request that names a machine and nothing else."""
    _only(told, {"key"})
    return identifier(told["key"], "key")


def make_of(told: Mapping[str, Any]) -> Make:
    """Read a `make`; raises `BadInput` naming the field."""
    _only(told, {"key", "type", "cores", "memory_bytes", "environment", "user_data"})
    user_data = told["user_data"]
    if not isinstance(user_data, dict) or len(json.dumps(user_data)) > _LONGEST_USER_DATA:
        raise BadInput("user_data is not right.", next_step="Give an object of at most 64 KiB.", field="user_data")
    return Make(
        key=identifier(told["key"], "key"),
        type=identifier(told["type"], "type"),
        cores=_number(told["cores"], "cores", 0.1, 1024),
        memory_bytes=int(_number(told["memory_bytes"], "memory_bytes", 1 << 26, 1 << 44)),
        environment=identifier(told["environment"], "environment"),
        user_data=user_data,
    )


def attach_of(told: Mapping[str, Any], uids: range) -> Attach:
    """Read an `attach`; the mount point may only be the person's home or the daemon's folder, the uid one of `uids`."""
    _only(told, {"key", "volume", "person", "uid", "at"})
    volume, person, uid, at = told["volume"], told["person"], told["uid"], told["at"]
    if volume not in VOLUMES:
        raise BadInput("There is no such volume.", next_step=f"Name one of: {', '.join(VOLUMES)}.", field="volume")
    if not isinstance(person, str) or not 1 <= len(person) <= 255 or not person.isprintable():
        raise BadInput("person is not right.", next_step="Give the person's name.", field="person")
    if isinstance(uid, bool) or not isinstance(uid, int) or uid not in uids:
        raise BadInput("uid is not a person's.", next_step=f"Give one from {uids[0]} to {uids[-1]}.", field="uid")
    wanted = DMS_VOLUME_AT if volume == "dms" else f"/home/{account_name(person)}"
    if at != wanted:
        raise BadInput("The volume may not be attached there.", next_step=f"Attach it at {wanted}.", field="at")
    return Attach(key=identifier(told["key"], "key"), volume=volume, person=person, uid=uid, at=wanted)
