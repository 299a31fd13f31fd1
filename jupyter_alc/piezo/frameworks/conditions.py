"""The option `where` of a table: conditions in words of SQL, and the rows of a batch for which they hold. Pure."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from jupyter_alc.core.errors import BadInput
from jupyter_alc.piezo.frameworks.filters import Condition

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_OPERATORS: Final = {
    "=": "EqualTo",
    "==": "EqualTo",
    "<": "LessThan",
    "<=": "LessThanOrEqual",
    ">": "GreaterThan",
    ">=": "GreaterThanOrEqual",
    "in": "In",
    "is null": "IsNull",
    "is not null": "IsNotNull",
}
_LITERAL: Final = r"'(?:[^']|'')*'|[-+]?[\w.]+(?:[eE][-+]?\d+)?"
_ONE: Final = re.compile(
    rf"\s*(?:`(?P<quoted>[^`]+)`|(?P<plain>[\w./@-]+))\s*"
    rf"(?:(?P<null>is\s+(?:not\s+)?null)|(?P<compared><=|>=|==|=|<|>)\s*(?P<value>{_LITERAL})"
    rf"|in\s*\((?P<values>\s*(?:{_LITERAL})\s*(?:,\s*(?:{_LITERAL})\s*)*)\))\s*(?P<more>and\b|$)",
    re.IGNORECASE,
)
_COMPARED: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "EqualTo": pc.equal,
    "LessThan": pc.less,
    "LessThanOrEqual": pc.less_equal,
    "GreaterThan": pc.greater,
    "GreaterThanOrEqual": pc.greater_equal,
}


def parsed(text: str) -> tuple[Condition, ...]:
    """The conditions that a text tells; `BadInput` where it is none."""
    found, at = list[Condition](), 0
    while at < len(text) or not found:
        match = _ONE.match(text, at)
        if match is None:
            raise _not_understood(text[at:] or text)
        name = match["quoted"] or match["plain"]
        if match["null"]:
            found.append(Condition(name, _OPERATORS[" ".join(match["null"].lower().split())]))
        elif match["values"]:
            values = tuple(_literal(one) for one in re.findall(_LITERAL, match["values"]))
            found.append(Condition(name, "In", values))
        else:
            found.append(Condition(name, _OPERATORS[match["compared"]], _literal(match["value"])))
        at = match.end()
        if not match["more"] and at < len(text):
            raise _not_understood(text[at:])
        if match["more"] and at >= len(text):
            raise _not_understood(text)
    return tuple(found)


def _literal(text: str) -> bool | float | str:
    if text.startswith("'"):
        return text[1:-1].replace("''", "'")
    if text.lower() in {"true", "false"}:
        return text.lower() == "true"
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError) as error:
        raise _not_understood(text) from error
    if not isinstance(value, int | float):
        raise _not_understood(text)
    return value


def _not_understood(text: str) -> BadInput:
    return BadInput(
        f"{text.strip()[:80]!r} is no condition.",
        next_step="Write name = 5, name >= 1.5, name in ('a', 'b') or name is not null, and join several by and.",
        field="where",
    )


def checked(conditions: Sequence[Condition], schema: pa.Schema) -> None:
    """Raise `BadInput` for conditions on what a table does not have, or that its types do not allow."""
    nothing = schema.empty_table()
    for one in conditions:
        if one.name not in schema.names:
            raise BadInput(
                f"The table has no column {one.name!r} for a condition.",
                next_step=f"Name one of {', '.join(schema.names)[:200]}.",
                field="where",
            )
        try:
            _mask(one, nothing[one.name])
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError) as error:
            raise BadInput(
                f"{one.name} is {schema.field(one.name).type} and cannot be compared with {one.value!r}.",
                next_step="Compare it with a value of its type.",
                field="where",
            ) from error


def holding(batch: pa.RecordBatch, conditions: Sequence[Condition]) -> pa.RecordBatch:
    """The rows of a batch for which all conditions hold, as Spark has it: null never does, NaN is the greatest."""
    for one in conditions:
        batch = batch.filter(_mask(one, batch[one.name]))
    return batch


def _mask(condition: Condition, values: Any) -> Any:
    if condition.operator == "IsNull":
        return pc.is_null(values)
    if condition.operator == "IsNotNull":
        return pc.is_valid(values)
    if condition.operator == "In":
        masks = [_mask(Condition(condition.name, "EqualTo", one), values) for one in condition.value]
        mask = masks[0]
        for one in masks[1:]:
            mask = pc.or_(mask, one)
        return mask
    mask = _COMPARED[condition.operator](values, pa.scalar(condition.value))
    if condition.operator.startswith("GreaterThan") and pa.types.is_floating(values.type):
        mask = pc.or_(mask, pc.is_nan(values))
    return mask
