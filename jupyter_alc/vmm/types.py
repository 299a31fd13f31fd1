"""Machine types: what the form offers, read from a YAML (or JSON) file that people write.

- id: small
  title: General
  description: Two cores with Spark
  cores: 2
  memory_bytes: 3 GB          # or a number of bytes
  environment: spark
  min_ready: 1                # kept warm
  max_total: 4                # never more than this, whoever has them
  users: ["*"]                # who may see it; leave out for everybody
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import yaml

from jupyter_alc.core.errors import AlcError, BadInput
from jupyter_alc.core.names import LONGEST_DESCRIPTION, identifier, joined, one_line
from jupyter_alc.core.sizes import parse_size
from jupyter_alc.core.written import read_yaml

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from jupyter_alc.core.written import Spot

_LEAST_MEMORY: Final = 64 * 1000**2


def _require(holds: bool, field: str, wrong: str, cure: str) -> None:
    if not holds:
        raise BadInput(f"{field} {wrong}.", next_step=cure, field=field)


@dataclass(frozen=True, slots=True)
class MachineType:
    """One kind of machine, as many as `max_total` of it, `min_ready` of them warm."""

    id: str
    title: str
    cores: int
    memory_bytes: int
    environment: str
    description: str = ""
    min_ready: int = 1
    max_total: int = 4
    users: frozenset[str] = frozenset({"*"})

    def __post_init__(self) -> None:
        identifier(self.id, "machine type id")
        _require(bool(self.title.strip()), "title", "is empty", "Give a title that people read on the card.")
        one_line(self.title, "title")
        one_line(self.description, "description", LONGEST_DESCRIPTION)
        _require(1 <= self.cores <= 1024, "cores", "is not between 1 and 1024", "Give a whole number of cores.")
        _require(self.memory_bytes >= _LEAST_MEMORY, "memory_bytes", "is below 64 MB", 'Give for example "2 GB".')
        _require(
            bool(re.fullmatch(r"[a-z0-9-]{1,32}", self.environment)),
            "environment",
            "is not a name",
            "Write spark or python.",
        )
        _require(0 <= self.min_ready <= self.max_total, "min_ready", "is not between 0 and max_total", "Lower it.")
        _require(1 <= self.max_total <= 10_000, "max_total", "is not between 1 and 10000", "Give at least 1.")

    def offered_to(self, user: str) -> bool:
        """Say whether `user` may see and claim it."""
        return bool(self.users & {user, "*"})


DEFAULT_TYPES: Final[tuple[MachineType, ...]] = (
    MachineType(
        id="small",
        title="General",
        description="Two cores with Python, the scientific libraries and Spark",
        cores=2,
        memory_bytes=3 * 1000**3,
        environment="spark",
    ),
    MachineType(
        id="large",
        title="Python only",
        description="One core with Python and the scientific libraries, without Spark",
        cores=1,
        memory_bytes=1000**3,
        environment="python",
    ),
)


def parse_bytes(told: object) -> int:
    """Return the bytes of `2 GB` and the like; else raise `BadInput` for `memory_bytes`."""
    return parse_size(told, "memory_bytes")


def _text(told: object) -> str:
    if not isinstance(told, str):
        raise BadInput("is not text.", next_step="Put it in quotes.")
    return told


def _line(told: object) -> str:
    """A text to be shown: YAML lets it run over lines, people see it as one."""
    return joined(_text(told))


def _number(told: object) -> int:
    if not isinstance(told, int) or isinstance(told, bool):
        raise BadInput("is not a whole number.", next_step="Write digits only.")
    return told


def _names(told: object) -> frozenset[str]:
    if not isinstance(told, list) or not told or not all(isinstance(one, str) and one for one in told):
        raise BadInput("is not a list of names.", next_step='Write ["*"] for everybody, or ["ada", "brahe"].')
    return frozenset(told)


_READERS: Final[Mapping[str, Callable[[object], Any]]] = {
    "id": _text,
    "title": _line,
    "description": _line,
    "cores": _number,
    "memory_bytes": parse_bytes,
    "environment": _text,
    "min_ready": _number,
    "max_total": _number,
    "users": _names,
}
_NEEDED: Final = ("id", "title", "cores", "memory_bytes", "environment")


def read_machine_types(path: Path) -> tuple[MachineType, ...]:
    """Read the machine types of a YAML or JSON file.

    Raises `BadFile` naming the file, the line and what to write; a file that cannot be read is one too.
    """
    begin = 'Begin each machine type with "- id: name".'
    listed = read_yaml(path, begin)
    spots = listed.listed("no list of machine types.", begin)
    if not spots:
        raise listed.wrong("no list of machine types.", begin)
    types: list[MachineType] = []
    for spot in spots:
        one = _read_one(spot)
        if one.id in {other.id for other in types}:
            raise spot.wrong(f"machine type {one.id} is there twice.", "Give one of them another id.")
        types.append(one)
    return tuple(types)


def _read_one(spot: Spot) -> MachineType:
    fields = spot.table("not a machine type.", "Write id, title, cores, memory_bytes, environment.")
    values: dict[str, Any] = {}
    for key, at in fields.items():
        reader = _READERS.get(key)
        if reader is None:
            settings = f"The settings are {', '.join(_READERS)}."
            raise at.wrong(f"{key[:40]!r} is not a setting of a machine type.", settings)
        try:
            values[key] = reader(_plain(at.node))
        except AlcError as error:
            raise at.wrong(f"{key} {error}", error.next_step, key) from error
    missing = [key for key in _NEEDED if key not in values]
    if missing:
        raise spot.wrong(
            f"the machine type lacks {' and '.join(missing)}.", f"Add a line such as {missing[0]}: …", missing[0]
        )
    try:
        return MachineType(**values)
    except AlcError as error:
        raise fields.get(error.field, spot).wrong(str(error), error.next_step, error.field) from error


def _plain(node: yaml.Node) -> object:
    try:
        return yaml.SafeLoader("").construct_object(node, deep=True)
    except (yaml.YAMLError, ValueError) as error:
        raise BadInput("has a value that cannot be read.", next_step="Write plain text or a number.") from error


def types_by_id(types: Sequence[MachineType]) -> dict[str, MachineType]:
    """Return the types by id, in their order."""
    return {one.id: one for one in types}
