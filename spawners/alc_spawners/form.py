"""The spawn form, rendered on the server and complete without a script; a script only refreshes counts and filters."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from alc_spawners.options import usable
from alc_spawners.stages import seconds
from jupyter_alc.core.dataset import Access
from jupyter_alc.core.sizes import size

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from jupyter_alc.core.dataset import Dataset
    from jupyter_alc.core.errors import AlcError

TEMPLATE: Final = "alc_form.html"
_TONES: Final = {"ready": "ok", "soon": "wait"}


@dataclass(frozen=True, slots=True)
class FormContent:
    """What the form shows to one person; `problems` are services that could not be asked."""

    user: str
    machine_types: Sequence[Mapping[str, Any]] = ()
    datasets: Sequence[Dataset] = ()
    chosen: Mapping[str, Any] = field(default_factory=dict)
    problems: Sequence[AlcError] = ()


def about(value: float | None) -> str:
    """A wait for people, in whole seconds rounded up; nothing for None."""
    return "" if value is None else seconds(float(max(1, math.ceil(value)))).replace(".0 s", " s")


def shipped_folders() -> list[str]:
    """Where the templates lie: beside a checkout's sources, or in the environment's share folder."""
    places = (Path(__file__).resolve().parents[2] / "hub_config", Path(sys.prefix) / "share/jupyter-alc/hub_config")
    return [str(place / part) for place in places if place.is_dir() for part in ("templates", "static")]


@lru_cache(maxsize=4)
def _environment(folders: tuple[str, ...]) -> Environment:
    return Environment(
        loader=FileSystemLoader(folders),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def render_form(content: FormContent, folders: Sequence[str] = ()) -> str:
    """Return the inside of the form element. Every text from outside is escaped."""
    template = _environment(tuple(folders) or tuple(shipped_folders())).get_template(TEMPLATE)
    return template.render(
        machines=_machines(content),
        datasets=_datasets(content),
        problems=content.problems,
        can_start=any(usable(one) for one in content.machine_types),
    )


def _machines(content: FormContent) -> list[dict[str, Any]]:
    wanted = content.chosen.get("machine_type")
    able = [str(one["id"]) for one in content.machine_types if usable(one)]
    checked = wanted if wanted in able else next(iter(able), None)
    return [_machine(one, checked) for one in content.machine_types]


def _cores(number: int) -> str:
    return f"{number} {'core' if number == 1 else 'cores'}"


def _machine(one: Mapping[str, Any], checked: object) -> dict[str, Any]:
    return {
        "id": one["id"],
        "title": one["title"],
        "description": one["description"],
        "spec": " · ".join((_cores(int(one["cores"])), size(one["memory_bytes"]), f"{one['environment']} environment")),
        "notes": [one[note] for note in ("limits_note", "lacks_note") if one.get(note)],
        "alone": one.get("isolation") == "none",
        "words": one["offer"]["words"],
        "soon": about(one["offer"].get("seconds")),
        "tone": _TONES.get(one["offer"]["state"], "no"),
        "usable": usable(one),
        "checked": one["id"] == checked,
    }


def _datasets(content: FormContent) -> list[dict[str, Any]]:
    told = content.chosen.get("datasets")
    chosen = set(told) if isinstance(told, list) and all(isinstance(one, str) for one in told) else set()
    return [
        {
            "id": one.id,
            "title": one.title,
            "description": one.description,
            "where": one.where or one.adapter,
            "access": "read and write" if one.access_of(content.user) is Access.WRITE else "read only",
            "size": size(one.size_bytes),
            "labels": " ".join(one.labels.values()),
            "chosen": one.id in chosen,
        }
        for one in content.datasets
    ]
