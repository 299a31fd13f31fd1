"""What a person chose: from the form's strings to a checked choice. Pure.

The Hub's REST takes options without any form, so nothing here trusts its input, and an empty choice is a choice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jupyter_alc.core.errors import AlcError, BadInput, Conflict
from jupyter_alc.core.names import can_be_shown

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

KNOWN = ("machine_type", "datasets")
_MOST_SHOWN, _MOST_NAMED = 12, 5


@dataclass(frozen=True, slots=True)
class Choice:
    """A machine type and datasets that exist and are this person's to use."""

    machine_type: str
    title: str
    datasets: tuple[str, ...]


class WrongOptions(Exception):
    """The choice cannot be used: every reason at once."""

    def __init__(self, problems: Sequence[AlcError]) -> None:
        super().__init__(" ".join(problem.line for problem in problems))
        self.problems = tuple(problems)


def options_from_form(data: Mapping[str, Any]) -> dict[str, Any]:
    """Turn the form's lists of strings into options; what is not of the form stays, to be refused with its name."""
    options: dict[str, Any] = {key: value for key, value in data.items() if key not in {*KNOWN, "_xsrf"}}
    if data.get("machine_type"):
        options["machine_type"] = data["machine_type"][0]
    options["datasets"] = list(data.get("datasets", ()))
    return options


def check_options(
    options: Mapping[str, Any], machine_types: Sequence[Mapping[str, Any]], datasets: Sequence[str]
) -> Choice:
    """Return the choice these options make.

    `machine_types` is what VMM offers this person, in its order; `datasets` the ids this person may see. Without a
    machine type the first that can be had is taken; without datasets, none. Raises `WrongOptions` with every problem.
    """
    problems = _unknown_options([str(key) for key in options if key not in KNOWN])
    machine, wrong_machine = _machine(options.get("machine_type"), machine_types)
    chosen, wrong_data = _data(options.get("datasets"), datasets)
    problems += [*wrong_machine, *wrong_data]
    if problems or machine is None:
        raise WrongOptions(problems)
    return Choice(str(machine["id"]), str(machine["title"]), chosen)


def usable(machine: Mapping[str, Any]) -> bool:
    """Say whether asking for this type now can lead anywhere, according to VMM."""
    return machine["offer"]["state"] in {"ready", "soon"}


def _unknown_options(keys: Sequence[str]) -> list[AlcError]:
    if not keys:
        return []
    return [
        BadInput(
            f"There is no option {_alternatives(keys)}.",
            next_step=f"The options are {' and '.join(KNOWN)}.",
            field=keys[0][:40],
        )
    ]


def _machine(
    told: object, machine_types: Sequence[Mapping[str, Any]]
) -> tuple[Mapping[str, Any] | None, list[AlcError]]:
    if not machine_types:
        return None, [Conflict("No machine type is open to you.", next_step="Ask the operator.", field="machine_type")]
    if told is None:
        return next(filter(usable, machine_types), machine_types[0]), []
    found = next((one for one in machine_types if one["id"] == told), None)
    if found is None:
        names = _listed([str(one["id"]) for one in machine_types])
        wrong = BadInput(
            f"There is no machine type {_quoted(told)} for you.", next_step=f"Choose {names}.", field="machine_type"
        )
        return None, [wrong]
    if found["offer"]["state"] == "refused":
        words = str(found["offer"]["words"]).rstrip(".")
        return None, [
            Conflict(
                f"{found['title']}: {words}.",
                next_step="Ask the operator to run jupyter-alc as root, which isolates machines.",
                field="machine_type",
            )
        ]
    return found, []


def _data(told: object, datasets: Sequence[str]) -> tuple[tuple[str, ...], list[AlcError]]:
    if told is None:
        return (), []
    if not isinstance(told, list | tuple) or not all(isinstance(one, str) for one in told):
        return (), [
            BadInput("The datasets are not a list of ids.", next_step='Write ["one", "two"].', field="datasets")
        ]
    unknown = [one for one in dict.fromkeys(told) if one not in datasets]
    if not unknown:
        return tuple(dict.fromkeys(told)), []
    cure = f"Choose from {_listed(datasets)}." if datasets else "Start without data, or ask the operator for access."
    return (), [BadInput(f"There is no dataset {_alternatives(unknown)} for you.", next_step=cure, field="datasets")]


def _alternatives(names: Sequence[str]) -> str:
    """`“a”`, `“a” or “b”`, `“a”, “b” or 12 more`."""
    shown = [_quoted(one) for one in names[:_MOST_NAMED]]
    more = len(names) - len(shown)
    last = f"{more} more" if more else shown.pop()
    return f"{', '.join(shown)} or {last}" if shown else last


def _quoted(told: object) -> str:
    text = str(told)
    shown = "".join(one if can_be_shown(one) else "�" for one in text[:60])
    return f"“{shown}{'…' if len(text) > 60 else ''}”"


def _listed(names: Sequence[str]) -> str:
    shown = list(names[:_MOST_SHOWN])
    more = [f"{len(names) - _MOST_SHOWN} more"] if len(names) > _MOST_SHOWN else []
    return ", ".join([*shown, *more])
