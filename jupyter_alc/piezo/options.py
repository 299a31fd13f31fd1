"""What a user may ask of a cluster: one declaration gives reading, messages and the schema for forms and REST.

Reading is strict. A number is a JSON integer or its plain decimal digits; `true`, `3.9`, `"05"`, `"+5"`, `"1_0"`,
`" 5"` and full-width digits are refused. Memory carries its unit (`1g`, `512M`). Every wrong option is told in the same
answer.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from jupyter_alc.core.errors import BadInput

MEBIBYTE: Final = 1024 * 1024
# what Spark's own daemons and the Connect server take beside the executors, measured: 0.25 + 0.25 + 0.6 GiB
DAEMONS_BYTES: Final = 1100 * MEBIBYTE

_DIGITS: Final = re.compile(r"0|[1-9][0-9]{0,8}")
_MEMORY: Final = re.compile(r"([1-9][0-9]{0,8})(m|g|mb|gb|mi|gi|mib|gib)", re.ASCII | re.IGNORECASE)
_NAME: Final = re.compile(r"[a-z](?:[.-]?[a-z0-9])*")
_NAME_LENGTH: Final = 29


@dataclass(frozen=True, slots=True)
class ClusterOptions:
    """What one cluster is made of; made by `read_options`, so its values are within the limits."""

    workers: int
    cores_per_worker: int
    memory_per_worker: int  # bytes
    name: str

    @property
    def cores(self) -> int:
        """Cores of all workers together."""
        return self.workers * self.cores_per_worker

    @property
    def needed_bytes(self) -> int:
        """Memory of all workers, and of Spark's own processes beside them."""
        return self.workers * self.memory_per_worker + DAEMONS_BYTES

    def as_json(self) -> dict[str, Any]:
        """The form `read_options` accepts."""
        return {
            "workers": self.workers,
            "cores_per_worker": self.cores_per_worker,
            "memory_per_worker": memory_words(self.memory_per_worker),
            "name": self.name,
        }

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> ClusterOptions:
        """Read `as_json` back; raises `ValueError` for what it did not write."""
        found = _MEMORY.fullmatch(told["memory_per_worker"])
        if found is None:
            raise ValueError(told)
        return cls(told["workers"], told["cores_per_worker"], _bytes(found), told["name"])


class BadOptions(BadInput):
    """One or more options are wrong; `problems` holds each, `str` tells all of them."""

    def __init__(self, problems: tuple[BadInput, ...]) -> None:
        super().__init__(
            " ".join(problem.sentence for problem in problems),
            next_step=" ".join(problem.next_step for problem in problems),
            field=problems[0].field if len(problems) == 1 else "",
        )
        self.problems = problems

    def as_json(self) -> dict[str, Any]:
        """As every error, and `"problems"`: one error for each wrong option."""
        return {**super().as_json(), "problems": [problem.as_json() for problem in self.problems]}


@dataclass(frozen=True, slots=True)
class Option:
    """One declared option: how it is called, read, bounded and explained."""

    name: str
    title: str
    kind: str  # integer, memory or name
    default: int | str
    minimum: int = 0
    maximum: int = 0
    unit: str = ""

    def read(self, given: object) -> int | str:
        """Return the value of `given`; raises `BadInput` naming this option and what to write."""
        return _READERS[self.kind](self, given)

    def schema(self) -> dict[str, Any]:
        """JSON Schema (2020-12) of this option."""
        told: dict[str, Any] = {"title": self.title}
        if self.kind == "integer":
            return told | {"type": "integer", "minimum": self.minimum, "maximum": self.maximum, "default": self.default}
        if self.kind == "memory":
            span = f"from {memory_words(self.minimum)} to {memory_words(self.maximum)}"
            return told | {
                "type": "string",
                "pattern": "^[1-9][0-9]{0,8}([mM]|[gG])([iI]?[bB]|[iI])?$",
                "default": memory_words(int(self.default)),
                "description": f"With its unit, {span}.",
            }
        return told | {
            "type": "string",
            "pattern": f"^{_NAME.pattern}$",
            "maxLength": _NAME_LENGTH,
            "default": self.default,
        }


@dataclass(frozen=True, slots=True)
class Machine:
    """The computer the cluster will run on, as far as it matters here."""

    cores: int
    memory_bytes: int


def declared(machine: Machine) -> tuple[Option, ...]:
    """The options and their limits on `machine`."""
    most = max(512 * MEBIBYTE, min(64 * 1024 * MEBIBYTE, machine.memory_bytes - DAEMONS_BYTES) // MEBIBYTE * MEBIBYTE)
    cores = max(1, min(machine.cores, 32))
    return (
        Option("workers", "Workers", "integer", 1, 1, 2),
        Option("cores_per_worker", "Cores of each worker", "integer", min(2, cores), 1, cores, "cores"),
        Option(
            "memory_per_worker",
            "Memory of each worker",
            "memory",
            min(1024 * MEBIBYTE, most),
            512 * MEBIBYTE,
            most,
            "bytes",
        ),
        Option("name", "Name", "name", "spark"),
    )


def options_schema(machine: Machine) -> dict[str, Any]:
    """JSON Schema of the whole options object, for forms and for the REST description."""
    return {
        "type": "object",
        "additionalProperties": False,
        "properties": {option.name: option.schema() for option in declared(machine)},
    }


def read_options(given: object, machine: Machine) -> ClusterOptions:
    """Return what `given` (a JSON object) asks for; raises `BadOptions` naming every wrong key and value at once."""
    if not isinstance(given, Mapping):
        raise BadOptions(
            (BadInput("The options are not an object.", next_step='Send {"workers": 1} or {}.', field="options"),)
        )
    known = {option.name: option for option in declared(machine)}
    problems = [_unknown(key, known) for key in given if not isinstance(key, str) or key not in known]
    values: dict[str, Any] = {}
    for name, option in known.items():
        try:
            values[name] = option.read(given[name]) if name in given else option.default
        except BadInput as problem:
            problems.append(problem)
    if not problems:
        problems.extend(_together(values, machine))
    if problems:
        raise BadOptions(tuple(problems))
    return ClusterOptions(**values)


def read_name(given: object) -> str:
    """Return `given` if it is a cluster's name; else raise `BadInput`."""
    if isinstance(given, str) and len(given) <= _NAME_LENGTH and _NAME.fullmatch(given):
        return given
    raise BadInput(
        f"{_shown(given)} is not a name for a cluster.",
        next_step=f"For name, use 1 to {_NAME_LENGTH} of a-z, 0-9, dot and hyphen: a letter first, "
        "no two separators together, none at the end.",
        field="name",
    )


def memory_words(size_bytes: int) -> str:
    """Write bytes the way Spark reads them: `1g`, `1536m` (MiB, rounded down)."""
    mebibytes = size_bytes // MEBIBYTE
    return f"{mebibytes // 1024}g" if mebibytes and mebibytes % 1024 == 0 else f"{mebibytes}m"


def _unknown(key: object, known: Mapping[str, Option]) -> BadInput:
    return BadInput(
        f"There is no option {_shown(key)}.", next_step=f"Use only {', '.join(known)}.", field=str(key)[:80]
    )


def _shown(given: object) -> str:
    return repr(given)[:60]


def _integer(option: Option, given: object) -> int:
    value: int | None = None
    if isinstance(given, int) and not isinstance(given, bool):
        value = given
    elif isinstance(given, str) and _DIGITS.fullmatch(given):
        value = int(given)
    if value is None or not option.minimum <= value <= option.maximum:
        raise BadInput(
            f"{_shown(given)} is not a value for {option.name}.",
            next_step=f"For {option.name}, write a whole number from {option.minimum} to {option.maximum}.",
            field=option.name,
        )
    return value


def _bytes(found: re.Match[str]) -> int:
    return int(found[1]) * MEBIBYTE * (1024 if found[2][0] in "gG" else 1)


def _memory(option: Option, given: object) -> int:
    found = _MEMORY.fullmatch(given) if isinstance(given, str) else None
    size = _bytes(found) if found else 0
    if option.minimum <= size <= option.maximum:
        return size
    bare = (isinstance(given, int) and not isinstance(given, bool)) or (
        isinstance(given, str) and _DIGITS.fullmatch(given)
    )
    hint = f"Say the unit: {given}m or {given}g; " if bare else ""
    raise BadInput(
        f"{_shown(given)} is not a value for {option.name}.",
        next_step=f"{hint}For {option.name}, write from {memory_words(option.minimum)} to "
        f"{memory_words(option.maximum)}, such as 1g or 768m.",
        field=option.name,
    )


def _name(option: Option, given: object) -> str:
    del option
    return read_name(given)


def _together(values: Mapping[str, Any], machine: Machine) -> list[BadInput]:
    """Limits that hold for the sum: all workers, and Spark's own processes beside them, fit the machine."""
    wanted = values["workers"] * values["memory_per_worker"] + DAEMONS_BYTES
    if wanted <= machine.memory_bytes or values["workers"] == 1:
        return []
    workers, each = values["workers"], memory_words(values["memory_per_worker"])
    room = memory_words(max(0, machine.memory_bytes - DAEMONS_BYTES) // workers)
    return [
        BadInput(
            f"{workers} workers of {each} and Spark's own {memory_words(DAEMONS_BYTES)} do not fit this machine's "
            f"{memory_words(machine.memory_bytes)}.",
            next_step=f"For memory_per_worker, write at most {room}, or take one worker.",
            field="memory_per_worker",
        )
    ]


_READERS: Final[Mapping[str, Callable[[Option, object], int | str]]] = {
    "integer": _integer,
    "memory": _memory,
    "name": _name,
}
