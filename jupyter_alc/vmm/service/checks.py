"""Strict reading of what came over the wire: unknown fields, wrong types and long values are told by name."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

from jupyter_alc.core.dataset import MountedDataset
from jupyter_alc.core.errors import AlcError, BadInput
from jupyter_alc.core.names import one_line

Check = Callable[[object, str], Any]


def _wrong(field: str, what: str) -> BadInput:
    return BadInput(f"{field} is not {what}.", next_step=f"Send {what} as {field}.", field=field)


def body_of(raw: bytes) -> dict[str, Any]:
    """Return the JSON object of a request; `BadInput` for anything else."""
    try:
        told = json.loads(raw.decode("utf-8"), parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise BadInput("The request is not JSON.", next_step="Send one JSON object.", field="body") from error
    if not isinstance(told, dict):
        raise BadInput("The request is not a JSON object.", next_step="Send one JSON object.", field="body")
    return told


def _no_constant(name: str) -> float:
    raise ValueError(name)


def record(
    told: object, field: str, required: dict[str, Check], optional: dict[str, Check] | None = None
) -> dict[str, Any]:
    """Return an object whose fields were checked one by one; absent optional fields stay absent."""
    if not isinstance(told, dict):
        raise _wrong(field or "body", "an object")
    checks = {**required, **(optional or {})}
    prefix = f"{field}." if field else ""
    for name in told:
        if name not in checks:
            raise BadInput(
                f"{prefix}{name[:60]} is not a known field.",
                next_step=f"Send only {', '.join(checks) or 'an empty object'}.",
                field=f"{prefix}{name[:60]}",
            )
    for name in required:
        if name not in told:
            raise BadInput(f"{prefix}{name} is missing.", next_step=f"Send {prefix}{name}.", field=f"{prefix}{name}")
    return {name: checks[name](value, f"{prefix}{name}") for name, value in told.items()}


def text(most: int, least: int = 0) -> Check:
    """Text of `least` to `most` printable characters."""

    def check(told: object, field: str) -> str:
        if not isinstance(told, str) or not least <= len(told) <= most or not (told.isprintable()):
            raise _wrong(field, f"text of {least} to {most} printable characters")
        return told

    return check


def line(least: int) -> Check:
    """A text that people are shown as one line, by the rule that a catalogue keeps too."""

    def check(told: object, field: str) -> str:
        if not isinstance(told, str) or len(told) < least:
            raise _wrong(field, f"text of at least {least} characters")
        return one_line(told, field)

    return check


def longtext(most: int) -> Check:
    """Text of at most `most` characters, line breaks included, without null characters and lone surrogates."""

    def check(told: object, field: str) -> str:
        if not isinstance(told, str) or len(told) > most or "\0" in told or not _encodable(told):
            raise _wrong(field, f"text of at most {most} characters")
        return told

    return check


def _encodable(told: str) -> bool:
    try:
        told.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def whole(least: int, most: int) -> Check:
    """A whole number."""

    def check(told: object, field: str) -> int:
        if isinstance(told, bool) or not isinstance(told, int) or not least <= told <= most:
            raise _wrong(field, f"a whole number from {least} to {most}")
        return told

    return check


def seconds(told: object, field: str) -> float:
    """Seconds, not negative, at most a day."""
    if (
        isinstance(told, bool)
        or not isinstance(told, int | float)
        or not math.isfinite(told)
        or not 0 <= told <= 86_400
    ):
        raise _wrong(field, "a number of seconds")
    return float(told)


def spawn(told: object, field: str) -> str:
    """The number or name of a start, as text."""
    if isinstance(told, int) and not isinstance(told, bool) and abs(told) < 1 << 63:
        return str(told)
    return str(text(64, 1)(told, field))


def one_of(*words: str) -> Check:
    """One of these words."""

    def check(told: object, field: str) -> str:
        if not isinstance(told, str) or told not in words:
            raise _wrong(field, f"one of {', '.join(words)}")
        return told

    return check


def flag(told: object, field: str) -> bool:
    """True or false."""
    if not isinstance(told, bool):
        raise _wrong(field, "true or false")
    return told


def listed(check: Check, most: int) -> Check:
    """A list of at most `most` items."""

    def check_all(told: object, field: str) -> list[Any]:
        if not isinstance(told, list) or len(told) > most:
            raise _wrong(field, f"a list of at most {most} items")
        return [check(one, f"{field}[{i}]") for i, one in enumerate(told)]

    return check_all


def texts_by_name(most: int) -> Check:
    """An object of text values, such as environment variables."""

    def check(told: object, field: str) -> dict[str, str]:
        if not isinstance(told, dict) or len(told) > most:
            raise _wrong(field, f"an object of at most {most} texts")
        name_check, value_check = text(200, 1), longtext(64 * 1024)
        for name, value in told.items():
            name_check(name, field)
            value_check(value, f"{field}.{name}")
        return dict(told)

    return check


def anything(most_bytes: int) -> Check:
    """Any JSON value, bounded."""

    def check(told: object, field: str) -> Any:
        if len(json.dumps(told)) > most_bytes or not _encodable(json.dumps(told, ensure_ascii=False)):
            raise _wrong(field, f"at most {most_bytes} bytes of JSON")
        return told

    return check


def bounded_object(most_bytes: int) -> Check:
    """Any JSON object, bounded."""

    def check(told: object, field: str) -> dict[str, Any]:
        if not isinstance(told, dict):
            raise _wrong(field, "an object")
        return dict(anything(most_bytes)(told, field))

    return check


def credentials_by_dataset(told: object, field: str) -> dict[str, dict[str, str]]:
    """Words by dataset; they are in no message."""
    if not isinstance(told, dict) or len(told) > 200:
        raise _wrong(field, "an object of at most 200 datasets")
    return {text(63, 1)(key, field): texts_by_name(20)(words, field) for key, words in told.items()}


def dataset(told: object, field: str) -> dict[str, Any]:
    """A mounted dataset, as `MountedDataset.as_json` tells it; its credentials are in no message."""
    record(
        told,
        field,
        {"id": text(63, 1), "title": line(1), "adapter": text(100, 1), "url": longtext(4000), "access": text(10)},
        {
            "where": line(0),
            "size_bytes": lambda value, name: None if value is None else whole(0, 1 << 62)(value, name),
            "published": flag,
            "credentials": texts_by_name(20),
            "transfer": bounded_object(4096),
            "views": bounded_object(64 * 1024),
        },
    )
    assert isinstance(told, dict)
    try:
        return MountedDataset.from_json(told).as_json()
    except (AlcError, ValueError, TypeError) as error:
        raise _wrong(field, "a dataset as the catalogue gives it") from error
