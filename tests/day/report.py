"""What happened, step by step: one line while it runs, one JSON file at the end."""

from __future__ import annotations

import json
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


class NotTrue(AssertionError):
    """A step looked at something and it was not as promised."""


def require(truth: object, sentence: str) -> None:
    """Go on only if `truth` holds; else the step fails with `sentence`."""
    if not truth:
        raise NotTrue(sentence)


@dataclass
class Step:
    """One step of the day: its figures stand beside its name."""

    name: str
    ok: bool = False
    seconds: float = 0.0
    applies: bool = True
    problem: str = ""
    figures: dict[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        told = asdict(self)
        figures = told.pop("figures")
        return {key: value for key, value in told.items() if value not in ("",)} | figures


class Report:
    """Collects the steps and tells them as they end."""

    def __init__(self, path: Path, tell: Callable[[str], None]) -> None:
        self.path = path
        self.steps: list[Step] = []
        self._tell = tell

    @contextmanager
    def step(self, name: str) -> Iterator[Step]:
        """Time one step; an exception marks it false and goes on up."""
        step = Step(name)
        self.steps.append(step)
        started = time.monotonic()
        try:
            yield step
            step.ok = True
        except Exception as error:
            kind = "" if isinstance(error, NotTrue) else f"{type(error).__name__}: "
            step.problem = f"{kind}{error}"[:2000]
            raise
        finally:
            step.seconds = round(time.monotonic() - started, 2)
            word = "ok  " if step.ok else "FAIL"
            if step.ok and not step.applies:
                word = "n/a "
            self._tell(f"{word} {step.seconds:7.1f} s  {name}")
            if step.problem:
                self._tell(f"     {step.problem}")
            self.write()

    @property
    def ok(self) -> bool:
        return bool(self.steps) and all(step.ok for step in self.steps)

    def write(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        told = {"ok": self.ok, "steps": [step.as_json() for step in self.steps]}
        self.path.write_text(json.dumps(told, indent=1, default=str) + "\n")
