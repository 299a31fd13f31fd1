"""`spark.read.format("dms")`: many files of a dataset as one table, each part read where its task runs.

`load("dms://dataset/folder")` takes a file, a folder or a glob pattern. Options: `format` (csv, parquet or binary; else
by the ending of the first file) and `partitionBytes` (64 MiB). A schema that is given names the columns that are read.
Files are reached through fsspec alone, so the cache and the rights are those of the machine's data service.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import fsspec
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
from pyspark.sql.datasource import DataSource, DataSourceReader, InputPartition
from pyspark.sql.pandas.types import from_arrow_schema, to_arrow_schema

from jupyter_alc.core.errors import BadInput, FileNotThere, VersionChanged

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pyspark.sql.types import StructType

_PARTITION_BYTES: Final = 64 << 20
_SCHEMA_BYTES: Final = 1 << 20
_BINARY: Final = "path string, size long, version string, content binary"
_ENDINGS: Final = {"csv": "csv", "parquet": "parquet", "pq": "parquet"}


@dataclass
class Part(InputPartition):  # type: ignore[misc]  # pyspark is used without types
    """Of one version of a file: rows that begin within `start`..`stop`, or these groups of rows."""

    kind: str
    path: str
    version: str
    start: int
    stop: int
    groups: tuple[int, ...] = ()


class DmsSource(DataSource):  # type: ignore[misc]
    """Files of DMS for Spark; see the module."""

    @classmethod
    def name(cls) -> str:
        """What `format` calls it."""
        return "dms"

    def schema(self) -> Any:
        """The columns of the first file."""
        files = _files(self.options)
        kind, (path, told) = _kind(self.options, files), files[0]
        if kind == "binary":
            return _BINARY
        with _opened(path, str(told.get("token", ""))) as file:
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

    def partitions(self) -> list[Part]:
        """Whole files that are small, else runs of row groups or ranges of about `partitionBytes`."""
        files = _files(self._options)
        kind = _kind(self._options, files)
        return [part for path, told in files for part in self._parts(kind, path, told)]

    def _parts(self, kind: str, path: str, told: dict[str, Any]) -> Iterator[Part]:
        version, size = str(told.get("token", "")), int(told["size"])
        if kind == "csv":
            for start in range(0, size, self._bytes):
                yield Part(kind, path, version, start, min(start + self._bytes, size))
        elif kind == "parquet" and size > self._bytes:
            with _opened(path, version) as file:
                footer = pyarrow.parquet.ParquetFile(file).metadata
            run, held = list[int](), 0
            for number in range(footer.num_row_groups):
                if run and held + footer.row_group(number).total_byte_size > self._bytes:
                    yield Part(kind, path, version, 0, size, tuple(run))
                    run, held = [], 0
                run.append(number)
                held += footer.row_group(number).total_byte_size
            yield Part(kind, path, version, 0, size, tuple(run))
        else:
            yield Part(kind, path, version, 0, size)

    def read(self, partition: Part) -> Iterator[pa.RecordBatch]:
        """The rows of one part, in Arrow's batches."""
        with _opened(partition.path, partition.version) as file:
            if partition.kind == "parquet":
                yield from self._parquet(file, partition)
            elif partition.kind == "csv":
                yield from self._csv(file, partition)
            else:
                row = [[partition.path], [partition.stop], [partition.version], [file.read()]]
                named = dict(zip(("path", "size", "version", "content"), row, strict=True))
                yield pa.RecordBatch.from_pydict({name: named[name] for name in self._schema.names}, self._schema)

    def _parquet(self, file: Any, part: Part) -> Iterator[pa.RecordBatch]:
        table = pyarrow.parquet.ParquetFile(file)
        groups = list(part.groups) or None
        for batch in table.iter_batches(row_groups=groups, columns=self._schema.names):
            yield batch.select(self._schema.names).cast(self._schema)

    def _csv(self, file: Any, part: Part) -> Iterator[pa.RecordBatch]:
        head = file.readline()
        first = part.start
        if first > 0:  # the row that reaches into this part belongs to the one before
            file.seek(first - 1)
            first = first - 1 + len(file.readline())
        first = max(first, len(head))
        if first >= part.stop:
            return
        file.seek(first)
        body = file.read(part.stop - first)
        if not body.endswith(b"\n"):
            body += file.readline()
        kinds = {field.name: field.type for field in self._schema}
        convert = pyarrow.csv.ConvertOptions(column_types=kinds, include_columns=self._schema.names)
        yield from pyarrow.csv.read_csv(io.BytesIO(head + body), convert_options=convert).to_batches()


def _files(options: Mapping[str, str]) -> list[tuple[str, dict[str, Any]]]:
    """The files that are meant, by name; none is an error."""
    path = options.get("path", "")
    if not path.startswith("dms://"):
        raise BadInput("There is no path to read.", next_step='Say .load("dms://dataset/folder").', field="path")
    fs, root = fsspec.core.url_to_fs(path)
    found = fs.glob(root, detail=True) if any(each in root for each in "*?[") else fs.find(root, detail=True)
    files = [(f"dms://{name}", told) for name, told in sorted(found.items()) if told["type"] == "file"]
    if not files:
        raise FileNotThere(f"There is no file at {path}.", next_step="List the folder to see what is there.")
    return files


def _kind(options: Mapping[str, str], files: list[tuple[str, dict[str, Any]]]) -> str:
    told = options.get("format", _ENDINGS.get(files[0][0].rpartition(".")[2].lower(), "binary"))
    if told not in {"csv", "parquet", "binary"}:
        raise BadInput(f"{told!r} is not a form of files.", next_step="Say csv, parquet or binary.", field="format")
    return told


def _opened(path: str, version: str) -> Any:
    """The file as it was when the parts were made: a table never has rows of two versions of a file."""
    fs, name = fsspec.core.url_to_fs(path)
    file = fs.open(name)
    if version and str(file.details.get("token", "")) != version:
        file.close()
        raise VersionChanged(f"{path} has changed since the table was planned.", next_step="Read the table again.")
    return file
