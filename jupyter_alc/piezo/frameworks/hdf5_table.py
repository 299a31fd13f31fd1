"""HDF5 files as one table: its columns from options and the first file, its rows in Arrow's batches (F5 to F8)."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import h5py
import numpy as np
import pyarrow as pa

from jupyter_alc.core.errors import AlcError, BadInput
from jupyter_alc.piezo.frameworks.filters import rows_that_may_pass, value_may_pass
from jupyter_alc.piezo.frameworks.hdf5_values import Hdf5File, arrow_type, nested, read

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from jupyter_alc.piezo.frameworks.filters import Condition

_BATCH_BYTES: Final = 8 << 20
_MOST_SCALARS: Final = 1000
PATH, ROW = "path", "row"


@dataclass(frozen=True, slots=True)
class Column:
    """One column: a dataset, or an attribute of what is at `path`; `exploded` ones make the rows."""

    name: str
    path: str
    attribute: str = ""
    exploded: bool = False

    @property
    def told(self) -> str:
        """How a user writes it."""
        return f"{self.path}@{self.attribute}" if self.attribute else self.path


@dataclass(frozen=True, slots=True)
class Table:
    """What is read of each file. No `columns` means: every scalar of the first file."""

    columns: tuple[Column, ...]
    nulls: bool = False  # where a file does not have a dataset

    @property
    def explodes(self) -> bool:
        """Whether a file is more than one row."""
        return any(column.exploded for column in self.columns)


def table_of(options: Mapping[str, str], names: Sequence[str] = ()) -> Table:
    """The table that options, or the names of a schema, speak of; `BadInput` says what is wrong with them."""
    missing = options.get("missing", "error")
    if missing not in {"error", "null"}:
        raise BadInput(f"missing={missing!r} means nothing.", next_step="Say null or error.", field="missing")
    text = options.get("columns", "")
    columns = [_column(each) for each in text.split(",") if each.strip()]
    if not columns:
        columns = [Column(each, *_place(each)) for each in names if each not in {PATH, ROW}]
    taken = {PATH, ROW}
    for column in columns:
        if column.name.casefold() in taken:
            raise BadInput(
                f"Two columns are called {column.name!r}.",
                next_step="Write name=path for one of them.",
                field="columns",
            )
        taken.add(column.name.casefold())
    exploded = {each.strip() for each in options.get("explode", "").split(",") if each.strip()}
    unknown = exploded - {column.name for column in columns} - {column.path for column in columns}
    if unknown:
        raise BadInput(
            f"explode names {min(unknown)!r}, which is not a column.", next_step="Add it to columns.", field="explode"
        )
    columns = [
        Column(one.name, one.path, one.attribute, exploded=bool({one.name, one.path} & exploded)) for one in columns
    ]
    return Table(tuple(columns), missing == "null")


def _column(text: str) -> Column:
    name, _, place = text.strip().rpartition("=")
    path, attribute = _place(place.strip())
    if not (path or attribute):
        raise BadInput(f"{text!r} names no path.", next_step="Write name=entry/data/counts.", field="columns")
    return Column(name.strip() or attribute or path.rpartition("/")[2], path, attribute)


def _place(text: str) -> tuple[str, str]:
    path, _, attribute = text.partition("@")
    return path.strip("/"), attribute


def schema_of(table: Table, file: Hdf5File) -> tuple[Table, pa.Schema]:
    """The columns of the table as this file, the first, has them, all named; and their types."""
    if not table.columns:
        paths = islice((path for path, _ in file.scalars()), _MOST_SCALARS)
        table = Table(tuple(Column(path, path) for path in paths), table.nulls)
    fields = [pa.field(PATH, pa.string())]
    if table.explodes:
        fields.append(pa.field(ROW, pa.int64()))
    for column in table.columns:
        found_type = _type(column, file)
        if found_type is None:
            raise _missing(column, file)
        fields.append(pa.field(column.name, found_type))
    return table, pa.schema(fields)


def _type(column: Column, file: Hdf5File) -> pa.DataType | None:
    found = _thing(column, file)
    if found is None:
        return None
    _, thing = found
    shape = thing.shape if isinstance(thing, h5py.Dataset | np.ndarray) else np.shape(thing)
    dimensions = len(shape or ()) - (1 if column.exploded else 0)
    if not column.exploded and int(np.prod(shape or ())) == 1:
        dimensions = 0  # NeXus writes a value as an array of one, too
    if dimensions < 0:
        raise _unfit(column, file, "has one value, and no axis to explode")
    kind = thing.dtype if hasattr(thing, "dtype") else np.asarray(thing).dtype
    if isinstance(thing, str):
        return arrow_type(h5py.string_dtype())
    if kind.kind == "O" and not isinstance(thing, h5py.Dataset):
        kind = h5py.string_dtype()
    try:
        return arrow_type(kind, dimensions)
    except TypeError as error:
        raise _unfit(column, file, str(error)) from error


def _thing(column: Column, file: Hdf5File) -> tuple[Hdf5File, Any] | None:
    """The dataset of a column, or the value of its attribute; None where the file has none."""
    found = file.find(column.path)
    if found is None:
        return None
    owner, thing = found
    if column.attribute:
        return (owner, thing.attrs[column.attribute]) if column.attribute in thing.attrs else None
    if not isinstance(thing, h5py.Dataset):
        raise _unfit(column, file, "is a group")
    return found


def length_of(table: Table, file: Hdf5File) -> tuple[int, int, int]:
    """How many rows this file has, how many bytes one of them has, and how many steps a chunk holds."""
    length, width, step = -1, 0, 1
    for column in table.columns:
        if not column.exploded:
            continue
        found = _thing(column, file)
        if found is None:
            continue
        data = found[1]
        if not np.shape(data) and not getattr(data, "shape", ()):
            raise _unfit(column, file, "has one value, and no axis to explode")
        if length not in {-1, data.shape[0]}:
            raise _unfit(column, file, f"has {data.shape[0]} steps and not {length}, as the columns before it")
        length = data.shape[0]
        width += data.dtype.itemsize * int(np.prod(data.shape[1:]))
        chunks = getattr(data, "chunks", None)
        step = max(step, chunks[0] if chunks else 1)
    return max(length, 0) if table.explodes else 1, width, step


def batches(
    table: Table,
    schema: pa.Schema,
    file: Hdf5File,
    conditions: Sequence[Condition],
    rows: tuple[int, int] | None = None,
) -> Iterator[pa.RecordBatch]:
    """The rows of one file, those of `rows` of them, without such as certainly do not pass `conditions`."""
    wanted = [column for column in table.columns if column.name in schema.names]
    whole: dict[str, pa.Array] = {PATH: pa.array([file.address])}
    for column in sorted(wanted, key=lambda one: not _is_scalar(schema, one)):  # scalars first: they may be enough
        if not column.exploded:
            whole[column.name] = _values(table, schema, column, file, None)
            value = whole[column.name]
            if _is_scalar(schema, column) and not all(
                value_may_pass(condition, value[0].as_py()) for condition in conditions if condition.name == column.name
            ):
                return
    first, last = 0, 1
    step = 1
    if table.explodes:
        count, width, _ = length_of(table, file)
        first, last = max(rows[0] if rows else 0, 0), min(rows[1] if rows else count, count)
        first, last = within(conditions, first, last)
        step = max(_BATCH_BYTES // max(width, 1), 1)
    for start in range(first, last, step):
        yield from _batch(table, schema, file, conditions, whole, (start, min(start + step, last)))


def _batch(  # noqa: PLR0917
    table: Table,
    schema: pa.Schema,
    file: Hdf5File,
    conditions: Sequence[Condition],
    whole: Mapping[str, pa.Array],
    rows: tuple[int, int],
) -> Iterator[pa.RecordBatch]:
    start, stop = rows
    made: dict[str, pa.Array] = {}
    exploded = [column for column in table.columns if column.exploded and column.name in schema.names]
    for column in exploded:  # those with a condition first, so that of the others only such rows are read as may pass
        mine = [condition for condition in conditions if condition.name == column.name]
        found = _thing(column, file) if mine and _is_scalar(schema, column) else None
        if found is not None and getattr(found[1], "dtype", np.dtype("O")).kind in "iuf":
            values = read(found[0], found[1], slice(start, stop))
            passing = np.flatnonzero(
                np.logical_and.reduce([rows_that_may_pass(condition, values) for condition in mine])
            )
            if not len(passing):
                return
            start, stop = start + int(passing[0]), start + int(passing[-1]) + 1
    for column in exploded:
        made[column.name] = _values(table, schema, column, file, slice(start, stop))
    made[ROW] = pa.array(np.arange(start, stop))
    repeated = pa.array(np.zeros(stop - start, dtype="i8")) if stop - start != 1 else None
    columns = list[pa.Array]()
    for name, kind in zip(schema.names, schema.types, strict=True):
        one = _as(made[name] if name in made else whole[name], kind)
        columns.append(one if name in made or repeated is None else one.take(repeated))
    yield pa.RecordBatch.from_arrays(columns, schema=schema)


def within(conditions: Sequence[Condition], first: int, last: int) -> tuple[int, int]:
    """The rows between `first` and `last` that conditions on `row` leave."""
    for condition in conditions:
        if condition.name != ROW or not isinstance(condition.value, int):
            continue
        if condition.operator == "EqualTo":
            first, last = max(first, condition.value), min(last, condition.value + 1)
        elif condition.operator.startswith("GreaterThan"):
            first = max(first, condition.value + (condition.operator == "GreaterThan"))
        elif condition.operator.startswith("LessThan"):
            last = min(last, condition.value + (condition.operator == "LessThanOrEqual"))
    return first, max(first, last)


def _values(table: Table, schema: pa.Schema, column: Column, file: Hdf5File, rows: slice | None) -> pa.Array:
    """A column of this file, in the schema's type: of some rows, or its one value."""
    kind = schema.field(column.name).type
    found = _thing(column, file)
    if found is None:
        if not table.nulls:
            raise _missing(column, file)
        return pa.nulls(rows.stop - rows.start if rows is not None else 1, kind)
    owner, thing = found
    try:
        if isinstance(thing, h5py.Dataset):
            values = read(owner, thing, rows)
        else:
            values = np.asarray(thing)[rows] if rows is not None else np.asarray(thing)
        if rows is None:
            values = values.reshape(1) if values.size == 1 and not pa.types.is_list(kind) else values[None]
        made = nested(values)
    except (TypeError, OSError) as error:
        if isinstance(error, AlcError):
            raise
        raise _unfit(column, file, str(error)[:200] or "cannot be read") from error
    try:
        return _as(made, kind)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError) as error:
        raise _unfit(column, file, f"is {made.type} and not {kind}, as in the table") from error


def _as(values: pa.Array, kind: pa.DataType) -> pa.Array:
    return values if values.type == kind else values.cast(kind)


def _is_scalar(schema: pa.Schema, column: Column) -> bool:
    return column.name in schema.names and not pa.types.is_list(schema.field(column.name).type)


def _missing(column: Column, file: Hdf5File) -> BadInput:
    return BadInput(
        f"{file.address} has no {column.told}.",
        next_step='Correct the path, leave such files out, or say .option("missing", "null").',
        field="columns",
    )


def _unfit(column: Column, file: Hdf5File, why: str) -> BadInput:
    return BadInput(
        f"{column.told} of {file.address} {why}.",
        next_step="Leave the column or the file out, or give a schema that fits.",
        field="columns",
    )
