"""`spark.read.format("dms")`: many files of a dataset as one table, each part read where its task runs (F4 to F9).

What it takes is in docs/reference.md. Files are reached through fsspec alone, so the cache and the rights are those of
the machine's data service.
"""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import fsspec
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
from pyspark.sql.datasource import DataSource, DataSourceReader, InputPartition
from pyspark.sql.pandas.types import from_arrow_schema, to_arrow_schema

from jupyter_alc.core.errors import AlcError, BadInput, FileNotThere, VersionChanged
from jupyter_alc.piezo.frameworks import conditions
from jupyter_alc.piezo.frameworks.filters import range_may_pass, value_may_pass

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from pyspark.sql.types import StructType

    from jupyter_alc.piezo.frameworks.filters import Condition
    from jupyter_alc.piezo.frameworks.hdf5_values import Hdf5File

_PARTITION_BYTES: Final = 64 << 20
_SCHEMA_BYTES: Final = 1 << 20
_WHOLE_BYTES: Final = 256 << 10  # what the data service brings whole anyhow
_A_FILE: Final = 128 << 10  # what opening one costs, in bytes
_AT_ONCE: Final = 16
_TOGETHER: Final = 128  # small files, of which the next are fetched while these are read
_BINARY: Final = "path string, size long, version string, content binary"
_HDF5: Final = ("h5", "hdf5", "hdf", "nxs", "nx5", "nxspe", "he5")
_ENDINGS: Final = {"csv": "csv", "parquet": "parquet", "pq": "parquet", **dict.fromkeys(_HDF5, "hdf5")}


@dataclass(frozen=True)
class File:
    """One version of a file of `size` bytes."""

    path: str
    version: str
    size: int


@dataclass
class Part(InputPartition):  # type: ignore[misc]  # pyspark is used without types
    """What one task reads: whole files, or of one file rows that begin within `start`..`stop`, or groups of rows.

    `start` and `stop` are bytes of CSV, and steps of HDF5; `stop` 0: the files are whole.
    """

    kind: str
    files: tuple[File, ...]
    start: int = 0
    stop: int = 0
    groups: tuple[int, ...] = ()


class DmsSource(DataSource):  # type: ignore[misc]
    """Files of DMS for Spark; see the module."""

    @classmethod
    def name(cls) -> str:
        """What `format` calls it."""
        return "dms"

    @classmethod
    def register(cls, session: Any) -> None:
        """Let a session know it."""
        session.dataSource.register(cls)

    def schema(self) -> Any:
        """The columns of the first file."""
        files = _files(self.options)
        kind, first = _kind(self.options, files), files[0]
        if kind == "binary":
            return _BINARY
        if kind == "hdf5":
            from jupyter_alc.piezo.frameworks import hdf5_table  # noqa: PLC0415  (h5py: only where it is needed)

            with _hdf5(first) as opened:
                return from_arrow_schema(hdf5_table.schema_of(hdf5_table.table_of(self.options), opened)[1])
        with _opened(first) as file:
            if kind == "parquet":
                return from_arrow_schema(pyarrow.parquet.read_schema(file))
            head = file.read(_SCHEMA_BYTES)
        whole = head if len(head) < _SCHEMA_BYTES else head[: head.rfind(b"\n") + 1]
        return from_arrow_schema(pyarrow.csv.read_csv(io.BytesIO(whole)).schema)

    def reader(self, schema: StructType) -> DataSourceReader:
        """Read with these columns."""
        return DmsReader(self.options, schema)


class DmsReader(DataSourceReader):  # type: ignore[misc]
    """Makes parts on the driver, reads them on the executors."""

    def __init__(self, options: Mapping[str, str], schema: StructType) -> None:
        self._options, self._schema = dict(options), to_arrow_schema(schema)
        self._bytes = int(self._options.get("partitionbytes", _PARTITION_BYTES))
        where = self._options.get("where", "")
        self._where = conditions.parsed(where) if where.strip() else ()
        conditions.checked(self._where, self._schema)

    def partitions(self) -> list[Part]:
        """Whole files that are small, else runs of row groups, ranges or steps of about `partitionBytes`."""
        files = _files(self._options)
        kind = _kind(self._options, files)
        if kind in {"hdf5", "binary"}:
            mine = [condition for condition in self._where if condition.name == "path"]
            files = [file for file in files if all(value_may_pass(condition, file.path) for condition in mine)]
        divide = self._dividing(kind)
        parts = self._grouped(kind, [file for file in files if divide is None or file.size <= self._bytes])
        if divide is not None:
            with ThreadPoolExecutor(_AT_ONCE) as threads:
                for found in threads.map(divide, [file for file in files if file.size > self._bytes]):
                    parts.extend(found)
        return parts or [Part(kind, ())]

    def _dividing(self, kind: str) -> Callable[[File], list[Part]] | None:
        """How a file that is too large for one task is divided; None where a row is a whole file."""
        if kind == "hdf5":
            from jupyter_alc.piezo.frameworks import hdf5_table  # noqa: PLC0415

            return self._steps if hdf5_table.table_of(self._options, self._schema.names).explodes else None
        return {"csv": self._ranges, "parquet": self._row_groups}.get(kind)

    def _grouped(self, kind: str, files: list[File]) -> list[Part]:
        """Whole files, as many together as a task reads."""
        groups, held = list[list[File]](), 0
        for file in files:
            if not groups or held + file.size + _A_FILE > self._bytes:
                groups.append([])
                held = 0
            groups[-1].append(file)
            held += file.size + _A_FILE
        return [Part(kind, tuple(group)) for group in groups]

    def _ranges(self, file: File) -> list[Part]:
        edges = range(0, file.size, self._bytes)
        return [Part("csv", (file,), start, min(start + self._bytes, file.size)) for start in edges]

    def _row_groups(self, file: File) -> list[Part]:
        """Runs of row groups of one large file that may have a row that passes."""
        with _opened(file) as opened:
            footer = pyarrow.parquet.ParquetFile(opened).metadata
        runs, held = list[list[int]](), 0
        for number in _groups(footer, self._where, self._schema):
            size = footer.row_group(number).total_byte_size
            if not runs or held + size > self._bytes:
                runs.append([])
                held = 0
            runs[-1].append(number)
            held += size
        return [Part("parquet", (file,), groups=tuple(run)) for run in runs]

    def _steps(self, file: File) -> list[Part]:
        """Runs of steps of one large file, whole chunks each; where rows are named, of those only."""
        from jupyter_alc.piezo.frameworks import hdf5_table  # noqa: PLC0415

        table = hdf5_table.table_of(self._options, self._schema.names)
        with _hdf5(file) as opened:
            count, width, chunk = hdf5_table.length_of(table, opened)
        first, last = hdf5_table.within(self._where, 0, count)
        step = max(self._bytes // max(width, 1) // chunk, 1) * chunk
        edges = range(first // step * step, last, step)
        return [Part("hdf5", (file,), max(edge, first), min(edge + step, last)) for edge in edges]

    def read(self, partition: Part) -> Iterator[pa.RecordBatch]:
        """The rows of one part, in Arrow's batches."""
        for batch in self._read(partition):
            yield conditions.holding(batch, self._where)

    def _read(self, partition: Part) -> Iterator[pa.RecordBatch]:
        if partition.kind == "hdf5":
            yield from self._hdf5(partition)
            return
        for one in partition.files:
            with _opened(one) as file:
                if partition.kind == "parquet":
                    yield from self._parquet(file, partition.groups)
                elif partition.kind == "csv":
                    yield from self._csv(file, partition.start, partition.stop or one.size)
                else:
                    row = [[one.path], [one.size], [one.version], [file.read()]]
                    named = dict(zip(("path", "size", "version", "content"), row, strict=True))
                    yield pa.RecordBatch.from_pydict({name: named[name] for name in self._schema.names}, self._schema)

    def _hdf5(self, part: Part) -> Iterator[pa.RecordBatch]:
        """Whole files, small ones fetched side by side, or steps of one; batches of several files are joined."""
        from jupyter_alc.piezo.frameworks import hdf5_table  # noqa: PLC0415

        table = hdf5_table.table_of(self._options, self._schema.names)
        rows = (part.start, part.stop) if part.stop else None
        joined, held = list[pa.RecordBatch](), 0
        for opened in _each_hdf5(part.files):
            with opened:
                for batch in hdf5_table.batches(table, self._schema, opened, self._where, rows):
                    joined.append(batch)
                    held += batch.nbytes
                    if held > _PARTITION_BYTES // 8:
                        yield pa.Table.from_batches(joined, self._schema).combine_chunks().to_batches()[0]
                        joined, held = [], 0
        if joined:
            yield from pa.Table.from_batches(joined, self._schema).combine_chunks().to_batches()

    def _parquet(self, file: Any, run: Sequence[int]) -> Iterator[pa.RecordBatch]:
        table = pyarrow.parquet.ParquetFile(file)
        groups = list(run) or _groups(table.metadata, self._where, self._schema)
        if not groups:
            return
        for batch in table.iter_batches(row_groups=groups, columns=self._schema.names):
            yield batch.select(self._schema.names).cast(self._schema)

    def _csv(self, file: Any, start: int, stop: int) -> Iterator[pa.RecordBatch]:
        head = file.readline()
        first = start
        if first > 0:  # the row that reaches into this part belongs to the one before
            file.seek(first - 1)
            first = first - 1 + len(file.readline())
        first = max(first, len(head))
        if first >= stop:
            return
        file.seek(first)
        body = file.read(stop - first)
        if not body.endswith(b"\n"):
            body += file.readline()
        kinds = {field.name: field.type for field in self._schema}
        convert = pyarrow.csv.ConvertOptions(column_types=kinds, include_columns=self._schema.names)
        yield from pyarrow.csv.read_csv(io.BytesIO(head + body), convert_options=convert).to_batches()


def _groups(footer: Any, wanted: Sequence[Condition], schema: pa.Schema) -> list[int]:
    """The row groups of a Parquet file that may have a row that passes, by their statistics."""
    types = {field.name: field.type for field in footer.schema.to_arrow_schema()}
    places = {footer.schema.column(at).path: at for at in range(footer.num_columns)}
    mine = [one for one in wanted if one.name in places and one.name in schema.names]
    mine = [one for one in mine if types[one.name] == schema.field(one.name).type]
    return [
        number
        for number in range(footer.num_row_groups)
        if all(_group_may_pass(footer.row_group(number), places[one.name], one) for one in mine)
    ]


def _group_may_pass(group: Any, place: int, condition: Condition) -> bool:
    told = group.column(place).statistics
    if told is None:
        return True
    least, most = (told.min, told.max) if told.has_min_max else (None, None)
    return range_may_pass(condition, least, most, told.null_count if told.has_null_count else None, group.num_rows)


def _each_hdf5(files: Sequence[File]) -> Iterator[Hdf5File]:
    """The files one after the other; small ones come whole, many by one request, the next while these are read."""
    from jupyter_alc.piezo.frameworks.hdf5_values import Hdf5File  # noqa: PLC0415

    groups = [files[start : start + _TOGETHER] for start in range(0, len(files), _TOGETHER)]
    with ThreadPoolExecutor(1) as thread:
        coming = [thread.submit(_contents, group) for group in groups[:1]]
        for number, group in enumerate(groups):
            contents = coming.pop().result()
            coming = [thread.submit(_contents, after) for after in groups[number + 1 : number + 2]]
            for file in group:
                content = contents.pop(file.path, None)
                yield Hdf5File(file.path, _opened(file) if content is None else content, _opened_now)


def _hdf5(file: File) -> Hdf5File:
    from jupyter_alc.piezo.frameworks.hdf5_values import Hdf5File  # noqa: PLC0415

    return Hdf5File(file.path, _opened(file), _opened_now)


def _opened_now(path: str) -> Any:
    """A file that another one refers to, as it is now."""
    fs, name = fsspec.core.url_to_fs(path)
    return fs.open(name)


def _contents(files: Sequence[File]) -> dict[str, bytes]:
    """The small ones of some files, whole, by their paths."""
    small = [file for file in files if file.size <= _WHOLE_BYTES]
    if not small:
        return {}
    fs, _ = fsspec.core.url_to_fs(small[0].path)
    found = dict[str, bytes]()
    for file, content in zip(small, fs.read_whole([(one.path, one.size, one.version) for one in small]), strict=True):
        if isinstance(content, VersionChanged):
            raise _changed(file) from content
        if isinstance(content, AlcError):
            raise content
        found[file.path] = content
    return found


def _files(options: Mapping[str, str]) -> list[File]:
    """The files that are meant, by name; none is an error."""
    path = options.get("path", "")
    if not path.startswith("dms://"):
        raise BadInput("There is no path to read.", next_step='Say .load("dms://dataset/folder").', field="path")
    fs, root = fsspec.core.url_to_fs(path)
    found = fs.glob(root, detail=True) if any(each in root for each in "*?[") else fs.find(root, detail=True)
    files = [
        File(f"dms://{told.get('target', name)}", str(told.get("token", "")), int(told["size"]))
        for name, told in sorted(found.items())
        if told["type"] == "file"
    ]
    if not files:
        raise FileNotThere(f"There is no file at {path}.", next_step="List the folder to see what is there.")
    return files


def _kind(options: Mapping[str, str], files: list[File]) -> str:
    told = options.get("format", _ENDINGS.get(files[0].path.rpartition(".")[2].lower(), "binary"))
    if told not in {"csv", "parquet", "hdf5", "binary"}:
        step = "Say csv, parquet, hdf5 or binary."
        raise BadInput(f"{told!r} is not a form of files.", next_step=step, field="format")
    return told


def _opened(file: File) -> Any:
    """The file as it was when the parts were made: a table never has rows of two versions of a file (F4)."""
    fs, name = fsspec.core.url_to_fs(file.path)
    opened = fs.open(name)
    if file.version and str(opened.details.get("token", "")) != file.version:
        opened.close()
        raise _changed(file)
    return opened


def _changed(file: File) -> VersionChanged:
    return VersionChanged(f"{file.path} has changed since the table was planned.", next_step="Read the table again.")
