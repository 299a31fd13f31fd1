"""Conditions as they save bytes: what certainly has no row that passes is not read (F7). Pure.

Each condition is applied again to the rows that were read, so that doubt always means "may pass": another type, a NaN
(which Spark holds to be greater than all numbers).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

_COMPARED: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "EqualTo": lambda left, right: left == right,
    "GreaterThan": lambda left, right: left > right,
    "GreaterThanOrEqual": lambda left, right: left >= right,
    "LessThan": lambda left, right: left < right,
    "LessThanOrEqual": lambda left, right: left <= right,
}


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition on the column `name`; `value` is what it is compared with, for `In` several."""

    name: str
    operator: str
    value: Any = None


def value_may_pass(condition: Condition, value: Any) -> bool:
    """Whether a row with this one value may pass."""
    if condition.operator in {"IsNull", "IsNotNull"}:
        return (value is None) == (condition.operator == "IsNull")
    if value is None:
        return False
    try:
        passes = _passes(condition, value)
    except TypeError:
        return True
    return passes is None or passes


def _passes(condition: Condition, value: Any) -> bool | None:
    if condition.operator == "In":
        equal = [_compare("EqualTo", value, one) for one in condition.value if one is not None]
        if any(equal):
            return True
        return None if None in equal or len(equal) < len(condition.value) else False
    return _compare(condition.operator, value, condition.value)


def _compare(operator: str, value: Any, other: Any) -> bool | None:
    if operator not in _COMPARED or other is None or _odd(value) or _odd(other) or not _alike(value, other):
        return None
    return bool(_COMPARED[operator](value, other))


def rows_that_may_pass(condition: Condition, values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """For each of a column's values, whether its row may pass."""
    everything = np.ones(len(values), dtype=bool)
    wanted = [*condition.value] if condition.operator == "In" else [condition.value]
    number = values.dtype.kind in "iuf" and all(_alike(0, one) and not _odd(one) for one in wanted)
    if not number:
        return everything
    if condition.operator == "In":
        mask = np.isin(values.astype("f8"), [float(one) for one in wanted])
    elif condition.operator in _COMPARED:
        mask = _COMPARED[condition.operator](values, condition.value)
    else:
        return everything
    return mask | np.isnan(values) if values.dtype.kind == "f" else mask


def range_may_pass(condition: Condition, least: Any, most: Any, nulls: int | None, rows: int) -> bool:
    """Whether one of `rows` values between `least` and `most`, `nulls` of them null, may pass."""
    if condition.operator == "IsNull":
        return nulls != 0
    if condition.operator == "IsNotNull":
        return nulls is None or nulls < rows
    try:
        return _range_may_pass(condition, least, most)
    except TypeError:
        return True


def _range_may_pass(condition: Condition, least: Any, most: Any) -> bool:
    wanted = condition.value
    if least is None or most is None or _odd(least) or _odd(most):
        return True
    if condition.operator == "In":
        return not wanted or any(
            _range_may_pass(Condition(condition.name, "EqualTo", one), least, most) for one in wanted
        )
    if wanted is None or _odd(wanted) or not _alike(least, wanted):
        return True
    if condition.operator == "EqualTo":
        return bool(least <= wanted <= most)
    if condition.operator in {"LessThan", "LessThanOrEqual"}:
        return bool(_COMPARED[condition.operator](least, wanted))
    if condition.operator in {"GreaterThan", "GreaterThanOrEqual"}:
        return isinstance(most, float) or bool(_COMPARED[condition.operator](most, wanted))  # statistics leave NaN out
    return True


def _alike(left: Any, right: Any) -> bool:
    """Whether the two are compared by Python as Spark compares them."""
    if isinstance(left, bool) or isinstance(right, bool):
        return isinstance(left, bool) and isinstance(right, bool)
    if isinstance(left, int | float) and isinstance(right, int | float):
        return max(abs(left), abs(right)) < 2**53 or (isinstance(left, int) and isinstance(right, int))
    return type(left) is type(right)


def _odd(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)
