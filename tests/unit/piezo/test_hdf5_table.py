"""HDF5 files as rows, without Spark's processes: F4 to F8 of docs/semantics/dms.md."""

import datetime
import math
import sys
from typing import ClassVar

import fsspec
import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyspark.sql import datasource as spark
from pyspark.sql.pandas.types import from_arrow_schema

from jupyter_alc.core.errors import AlcError, BadInput
from jupyter_alc.dms.filesystem import DmsFileSystem
from jupyter_alc.piezo.frameworks.filters import Condition, range_may_pass, rows_that_may_pass, value_may_pass
from jupyter_alc.piezo.frameworks.hdf5_values import Hdf5File
from jupyter_alc.piezo.frameworks.spark_source import DmsSource

pytestmark = pytest.mark.unit


class Folder(DmsFileSystem):
    """`dms://` on a folder of this computer, for a source that knows nothing but fsspec; it counts what is read."""

    cachable = False
    top = ""
    read: ClassVar[list[tuple[str, int, int]]] = []

    def _there(self, path):
        return f"{self.top}/{self._strip_protocol(path)}"

    async def _info(self, path, **_):
        told = fsspec.filesystem("file").info(self._there(path))
        return {**told, "name": self._strip_protocol(path), "token": f"{told['size']}-{told['mtime']}"}

    async def _ls(self, path, detail=True, **_):
        found = [
            await self._info(one[len(self.top) :])
            for one in fsspec.filesystem("file").ls(self._there(path), detail=False)
        ]
        return found if detail else [one["name"] for one in found]

    def read_version(self, path, start, stop, token, reader):
        type(self).read.append((path, start, stop))
        return fsspec.filesystem("file").cat_file(self._there(path), start=start, end=stop)

    def read_whole(self, versions):
        return [self.read_version(self._strip_protocol(path), 0, size, token, "") for path, size, token in versions]

    @classmethod
    def moved(cls, part=""):
        return sum(stop - start for path, start, stop in cls.read if part in path)


@pytest.fixture
def top(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules["fsspec.registry"]._registry, "dms", Folder)
    monkeypatch.setattr(Folder, "top", str(tmp_path))
    monkeypatch.setattr(Folder, "read", [])
    (tmp_path / "raw").mkdir()
    return tmp_path / "raw"


def table(path, schema=None, **options):
    """The rows as Spark would get them, and the parts."""
    source = DmsSource(spark.CaseInsensitiveDict({"path": path, **options}))
    reader = source.reader(source.schema() if schema is None else schema)
    parts = reader.partitions()
    batches = [batch for part in parts for batch in reader.read(part)]
    return (pa.Table.from_batches(batches).to_pylist() if batches else []), parts


def run(place, number, frames=4, libver=None):
    with h5py.File(place, "w", libver=libver) as file:
        file.attrs["creator"] = "tests"
        file["entry/title"] = f"run {number}"
        file["entry/run"] = np.array([number], "i4")
        file["entry/sample/temperature"] = 10.0 * number
        file["entry/flag"] = number % 2 == 0
        counts = (np.arange(frames * 6).reshape(frames, 2, 3) + 100 * number).astype("u2")
        file.create_dataset("entry/data/counts", data=counts, chunks=(1, 2, 3), compression="gzip")
        file["entry/data/counts"].attrs["units"] = "counts"
        file["entry/data/time"] = np.arange(frames) * 0.5
        file["entry/data/names"] = [f"frame {each}" for each in range(frames)]
    return counts


def test_f5_a_file_is_a_row(top):
    for number in (1, 2):
        run(top / f"{number}.nxs", number)
    rows, _ = table(
        "dms://raw/*.nxs",
        columns="title=entry/title, entry/run, entry/sample/temperature, entry/data/counts, "
        "u=entry/data/counts@units, @creator",
    )
    assert [row["title"] for row in rows] == ["run 1", "run 2"]
    assert rows[1] == {
        "path": "dms://raw/2.nxs", "title": "run 2", "run": 2, "temperature": 20.0, "u": "counts", "creator": "tests",
        "counts": (np.arange(24).reshape(4, 2, 3) + 200).tolist(),
    }  # fmt: skip


def test_f5_exploded_columns_make_the_rows(top):
    counts = {number: run(top / f"{number}.nxs", number, frames=number + 1) for number in (1, 2)}
    rows, _ = table(
        "dms://raw",
        columns="entry/title, entry/data/counts, entry/data/time, entry/data/names",
        explode="counts, time, names",
    )
    assert [(row["title"], row["row"]) for row in rows] == [
        ("run 1", 0),
        ("run 1", 1),
        ("run 2", 0),
        ("run 2", 1),
        ("run 2", 2),
    ]
    assert rows[3] == {
        "path": "dms://raw/2.nxs", "row": 1, "title": "run 2", "counts": counts[2][1].tolist(), "time": 0.5,
        "names": "frame 1",
    }  # fmt: skip


def test_f5_without_columns_every_value_is_one(top):
    run(top / "1.nxs", 3)
    rows, _ = table("dms://raw/1.nxs")
    assert rows == [
        {
            "path": "dms://raw/1.nxs",
            "entry/title": "run 3",
            "entry/run": 3,
            "entry/sample/temperature": 30.0,
            "entry/flag": False,
        }
    ]


def test_f5_a_schema_names_paths_and_types(top):
    run(top / "1.nxs", 3)
    fields = [("path", pa.string()), ("entry/run", pa.int64()), ("entry/data/time", pa.list_(pa.float32()))]
    schema = from_arrow_schema(pa.schema(fields))
    rows, _ = table("dms://raw/1.nxs", schema=schema)
    assert rows == [{"path": "dms://raw/1.nxs", "entry/run": 3, "entry/data/time": [0, 0.5, 1.0, 1.5]}]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"columns": "entry/nothing"}, ["dms://raw/1.nxs has no entry/nothing", "missing"]),
        ({"columns": "entry/data"}, ["entry/data of dms://raw/1.nxs is a group"]),
        ({"columns": "entry/title@units"}, ["has no entry/title@units"]),
        ({"columns": "entry/complex"}, ["entry/complex of dms://raw/1.nxs has the type"]),
        ({"columns": "entry/title, x/title"}, ["Two columns are called 'title'", "name=path"]),
        ({"columns": "entry/title", "explode": "title"}, ["entry/title of dms://raw/1.nxs has one value"]),
        ({"columns": "entry/title", "explode": "counts"}, ["explode names 'counts'"]),
        ({"columns": "entry/data/counts, entry/short", "explode": "counts,short"}, ["has 2 steps and not 4"]),
        ({"columns": "entry/title", "missing": "maybe"}, ["missing='maybe'"]),
    ],
)
def test_f4_errors_say_where_and_what_to_do(top, options, words):
    run(top / "1.nxs", 1)
    with h5py.File(top / "1.nxs", "a") as file:
        file["entry/complex"] = 1j
        file["entry/short"] = [1, 2]
    with pytest.raises(AlcError) as caught:
        table("dms://raw/1.nxs", **options)
    told = f"{caught.value.sentence} {caught.value.next_step}"
    assert all(word in told for word in words), told
    assert caught.value.next_step


def test_f5_what_a_later_file_lacks_or_has_in_another_type(top):
    run(top / "1.nxs", 1)
    run(top / "2.nxs", 2)
    with h5py.File(top / "2.nxs", "a") as file:
        del file["entry/title"], file["entry/run"]
        file["entry/run"] = np.int8(7)
    rows, _ = table("dms://raw", columns="entry/title, entry/run", missing="null")
    assert [(row["title"], row["run"]) for row in rows] == [("run 1", 1), (None, 7)]
    with pytest.raises(AlcError, match=r"2.nxs has no entry/title"):
        table("dms://raw", columns="entry/title")
    with h5py.File(top / "2.nxs", "a") as file:
        del file["entry/run"]
        file["entry/run"] = 7.5
    with pytest.raises(AlcError, match=r"entry/run of dms://raw/2.nxs is double and not int32"):
        table("dms://raw", columns="entry/run")


def test_f4_a_file_that_is_none_is_named(top):
    run(top / "1.nxs", 1)
    (top / "2.nxs").write_bytes((top / "1.nxs").read_bytes()[:3000])
    with pytest.raises(AlcError, match=r"dms://raw/2.nxs is not a whole HDF5 file"):
        table("dms://raw", columns="entry/run")


@pytest.mark.parametrize("number", [1, 2])
def test_f4_an_empty_file_is_named(top, number):
    for each in (1, 2):
        run(top / f"{each}.nxs", each)
    (top / f"{number}.nxs").write_bytes(b"")
    with pytest.raises(BadInput, match=rf"dms://raw/{number}.nxs is not a whole HDF5 file"):
        table("dms://raw", columns="entry/run")


def test_f4_two_files_that_are_open_at_once_are_two(top):
    """Looked at in turn, and as two parts whose rows are read side by side."""
    for number in (1, 2):
        run(top / f"{number}.nxs", number)
    one, other = (Hdf5File(f"dms://raw/{each}.nxs", (top / f"{each}.nxs").read_bytes(), open) for each in (1, 2))
    with one, other:
        for file, number in ((one, 1), (other, 2), (one, 1)):
            _, data = file.find("entry/run")
            assert data[()].tolist() == [number]
    source = DmsSource(spark.CaseInsensitiveDict({"path": "dms://raw", "columns": "entry/run", "partitionBytes": "1"}))
    reader = source.reader(source.schema())
    batches = [reader.read(part) for part in reader.partitions()]
    assert [next(batch).to_pylist()[0]["run"] for batch in batches] == [1, 2]


TYPES = ["i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", ">i4", ">f8", "?", "S5"]


@pytest.mark.parametrize("kind", TYPES)
def test_f5_every_type_keeps_its_values(top, kind):
    values = np.array([0, 1, 100], kind) if kind != "S5" else np.array([b"a", b"b\xc3\xa9"], kind)
    if np.dtype(kind).kind in "iu":
        values[-1] = np.iinfo(kind).max
    with h5py.File(top / "1.h5", "w") as file:
        file["x"] = values
    rows, _ = table("dms://raw/1.h5", columns="x", explode="x")
    wanted = [one.decode() for one in values.tolist()] if kind == "S5" else values.tolist()
    assert [row["x"] for row in rows] == wanted


@pytest.mark.parametrize("libver", ["earliest", "latest"])
@pytest.mark.parametrize(
    "options", [{"chunks": (2, 5)}, {"chunks": (3, 4), "compression": "gzip", "shuffle": True}, {}]
)
def test_every_layout_is_read_right(top, libver, options):
    data = np.random.default_rng(1).random((11, 9))
    with h5py.File(top / "1.h5", "w", libver=libver) as file:
        file.create_dataset("x", data=data, **options)
        compact = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        compact.set_layout(h5py.h5d.COMPACT)
        space = h5py.h5s.create_simple((11,))
        h5py.h5d.create(file.id, b"compact", h5py.h5t.NATIVE_INT32, space, compact).write(
            h5py.h5s.ALL, h5py.h5s.ALL, np.arange(11, dtype="i4")
        )
    rows, _ = table("dms://raw/1.h5", columns="x, compact", explode="x, compact", partitionBytes="200")
    assert [row["x"] for row in rows] == data.tolist()
    assert [row["compact"] for row in rows] == list(range(11))


def test_f8_external_links_and_virtual_datasets_are_followed(top):
    (top / "parts").mkdir()
    for number in range(3):
        with h5py.File(top / "parts" / f"{number}.h5", "w") as file:
            file["entry/x"] = np.arange(8).reshape(4, 2) + 10 * number
    joined, stacked = h5py.VirtualLayout((12, 2), "i8"), h5py.VirtualLayout((3, 4, 2), "i8")
    for number in range(3):
        source = h5py.VirtualSource(f"parts/{number}.h5", "entry/x", (4, 2))
        joined[4 * number : 4 * number + 4] = source
        stacked[number] = source
    with h5py.File(top / "master.nxs", "w", libver="latest") as file:
        file.create_virtual_dataset("joined", joined)
        file.create_virtual_dataset("stacked", stacked)
        file["link"] = h5py.ExternalLink("parts/1.h5", "/entry")
        file["soft"] = h5py.SoftLink("/link/x")
    wanted = [[2 * row + side + 10 * number for side in range(2)] for number in range(3) for row in range(4)]
    rows, _ = table("dms://raw/master.nxs", columns="joined", explode="joined", partitionBytes="64")
    assert [row["joined"] for row in rows] == wanted
    rows, _ = table("dms://raw/master.nxs", columns="stacked, link/x")
    assert rows[0]["stacked"] == np.array(wanted).reshape(3, 4, 2).tolist()
    assert rows[0]["x"] == wanted[4:8]
    (top / "parts" / "1.h5").unlink()
    for column in ("link/x", "stacked"):
        with pytest.raises(AlcError, match=r"refers to dms://raw/parts/1.h5, which is not there"):
            table("dms://raw/master.nxs", columns=column)


def test_f8_nothing_outside_of_the_dataset_is_opened(top):
    for name in ("../../etc/passwd", "/etc/passwd"):
        with h5py.File(top / "bad.nxs", "w") as file:
            file["link"] = h5py.ExternalLink(name, "/x")
        with pytest.raises(AlcError, match="outside of its dataset"):
            table("dms://raw/bad.nxs", columns="link")


def test_f6_only_the_chunks_of_wanted_columns_and_rows_move(top):
    random = np.random.default_rng(1)
    with h5py.File(top / "large.nxs", "w") as file:
        for name in ("a", "b", "c"):
            file.create_dataset(name, data=random.integers(0, 255, (64, 256, 256), "u1"), chunks=(1, 256, 256))
        file["time"] = np.arange(64.0)
    options = {"columns": "a, b, time", "explode": "a, b, time", "partitionBytes": "1000000"}
    every, parts = table("dms://raw/large.nxs", **options)
    assert len(parts) > 4
    assert Folder.moved() < 2 * 64 * 65_536 * 1.1 + 2_000_000
    Folder.read.clear()
    few, parts = table("dms://raw/large.nxs", where="row >= 60", **options)
    assert few == every[60:]
    assert len(parts) <= 2
    assert Folder.moved() < 2 * 4 * 65_536 + 1_500_000
    Folder.read.clear()
    few, _ = table("dms://raw/large.nxs", where="time < 2.0", **options)
    assert few == every[:2]
    assert Folder.moved() < 2 * 2 * 65_536 + 64 * 8 * 64 + 4_000_000
    assert Folder.moved() < 0.6 * 2 * 64 * 65_536


def test_f7_a_condition_on_a_value_spares_the_rest_of_the_file(top):
    for number in range(6):
        with h5py.File(top / f"{number}.nxs", "w") as file:
            file["temperature"] = 10.0 * number
            file.create_dataset("counts", data=np.random.default_rng(number).random(200_000), chunks=(50_000,))
    rows, _ = table("dms://raw", where="temperature > 35.0", columns="temperature, counts")
    assert [row["temperature"] for row in rows] == [40.0, 50.0]
    assert all(Folder.moved(f"{number}.nxs") < 200_000 for number in range(1, 4))
    Folder.read.clear()
    rows, _ = table("dms://raw", where="path = 'dms://raw/3.nxs'", columns="temperature")
    assert [row["path"] for row in rows] == ["dms://raw/3.nxs"]
    assert {path for path, _, _ in Folder.read} == {"raw/0.nxs", "raw/3.nxs"}  # the first one tells the types


def test_f9_small_files_are_grouped(top):
    for number in range(20):
        run(top / f"{number:02}.nxs", number)
    size = (top / "00.nxs").stat().st_size + (128 << 10)  # what opening a file counts
    rows, parts = table("dms://raw", columns="entry/run", partitionBytes=str(5 * size))
    assert [row["run"] for row in rows] == list(range(20))
    assert [len(part.files) for part in parts] == [5, 5, 5, 5]


@pytest.mark.parametrize("kind", ["csv", "parquet", "binary"])
def test_f9_small_files_of_other_formats_are_grouped_as_well(top, kind):
    for number in range(6):
        frame = pa.table({"run": [number, number + 10]})
        if kind == "parquet":
            pa.parquet.write_table(frame, top / f"{number}.parquet")
        else:
            (top / f"{number}.csv").write_text(f"run\n{number}\n{number + 10}\n")
    content = from_arrow_schema(pa.schema({"path": pa.string(), "content": pa.binary()}))
    schema = content if kind == "binary" else None  # Spark's own words for a schema need a session
    rows, parts = table("dms://raw", schema=schema, format=kind, partitionBytes=str(400 << 10))
    assert [len(part.files) for part in parts] == [3, 3]
    wanted = [f"dms://raw/{number}.csv" for number in range(6)]
    if kind == "binary":
        assert [row["path"] for row in rows] == wanted
    else:
        assert [row["run"] for row in rows] == [each for number in range(6) for each in (number, number + 10)]


def test_f7_row_groups_of_parquet_that_cannot_pass_do_not_move(top):
    columns = {"run": np.arange(40_000), "q": np.random.default_rng(1).random(40_000)}
    pa.parquet.write_table(pa.table(columns), top / "runs.parquet", row_group_size=4_000)
    every, _ = table("dms://raw/runs.parquet", partitionBytes="100000")
    moved = Folder.moved()
    Folder.read.clear()
    few, _ = table("dms://raw/runs.parquet", where="run < 4000", partitionBytes="100000")
    assert few == every[:4000]
    assert Folder.moved() < moved / 2


NUMBERS = st.one_of(st.integers(-3, 3), st.sampled_from([-1.5, 0.0, 2.5, math.nan, math.inf]))
VALUES = st.one_of(
    NUMBERS, st.none(), st.booleans(), st.sampled_from(["", "a", "ab", "b"]), st.just(datetime.date(2026, 1, 1))
)
OPERATORS = ["EqualTo", "GreaterThan", "GreaterThanOrEqual", "LessThan", "LessThanOrEqual"]
TESTS = st.builds(Condition, st.just("x"), st.sampled_from(OPERATORS), VALUES) | st.builds(
    Condition, st.just("x"), st.just("In"), st.lists(VALUES, max_size=3).map(tuple)
)


def passes(test, value):
    """As Spark has it, for values of one type; NaN is equal to itself and greater than all else."""

    def order(one):
        return (1, 0) if isinstance(one, float) and math.isnan(one) else (0, one)

    def simple(operator, other):
        if value is None or other is None:
            return None
        left, right = order(value), order(other)
        return {
            "EqualTo": left == right, "GreaterThan": left > right,
            "GreaterThanOrEqual": left >= right, "LessThan": left < right, "LessThanOrEqual": left <= right,
        }[operator]  # fmt: skip

    if test.operator == "In":
        told = [simple("EqualTo", one) for one in test.value]
        return True if True in told else (None if None in told else False)
    return simple(test.operator, test.value)


def alike(values, test):
    told = [*values, *(test.value if test.operator == "In" else [test.value])]
    kinds = {float if type(one) is int else type(one) for one in told if one is not None}
    return len(kinds) <= 1


@settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
@given(st.lists(VALUES, min_size=1, max_size=5), TESTS)
def test_f7_what_passes_is_never_left_out(values, test):
    """Against a model of Spark's comparisons: each value by itself, a column, and a row group by its statistics."""
    if not alike(values, test):
        return
    passing = [passes(test, value) is True for value in values]
    for value, one in zip(values, passing, strict=True):
        assert value_may_pass(test, value) or not one
    there = [value for value in values if value is not None]
    counted = [value for value in there if not (isinstance(value, float) and math.isnan(value))]
    if counted:
        bounds = min(counted), max(counted)
        if any(isinstance(value, float) for value in there):
            bounds = float(bounds[0]), float(bounds[1])
        assert range_may_pass(test, *bounds, len(values) - len(there), len(values)) or not any(passing)
    if len(there) == len(values) and all(type(value) in {int, float} for value in values):
        mask = rows_that_may_pass(test, np.array(values))
        assert all(may or not one for may, one in zip(mask, passing, strict=True))


@pytest.mark.parametrize(
    ("where", "wanted"),
    [
        ("row < 2", [(1, 0), (1, 1), (2, 0), (2, 1)]),
        ("run = 2 and time > 0.5", [(2, 2), (2, 3)]),
        ("run in (1, 3) and `time` >= 1.5", [(1, 3)]),
        ("title = 'run 2' AND row in (0,3)", [(2, 0), (2, 3)]),
        ("gap is null and row = 0", [(1, 0)]),
        ("gap is not null and row = 0", [(2, 0)]),
        ("gap > 5 and row = 0", []),
        ("path = 'dms://raw/1.nxs' and row > 2", [(1, 3)]),
    ],
)
def test_f7_where_limits_the_rows(top, where, wanted):
    for number in (1, 2):
        run(top / f"{number}.nxs", number)
    with h5py.File(top / "2.nxs", "a") as file:
        file["entry/gap"] = 5.0
    schema = from_arrow_schema(
        pa.schema([("path", pa.string()), ("row", pa.int64()), ("run", pa.int32()), ("title", pa.string()),
                   ("gap", pa.float64()), ("time", pa.float64())])
    )  # fmt: skip
    columns = "entry/run, entry/title, gap=entry/gap, entry/data/time"
    rows, _ = table("dms://raw", schema=schema, columns=columns, explode="time", missing="null", where=where)
    assert [(row["run"], row["row"]) for row in rows] == wanted


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ("run", "'run' is no condition"),
        ("run = 1 and", "is no condition"),
        ("run = 1 or run = 2", "is no condition"),
        ("speed = 1", "no column 'speed'"),
        ("run = 'one'", "int32 and cannot be compared with 'one'"),
        ("run = 1; drop", "is no condition"),
    ],
)
def test_f7_a_condition_that_is_none_is_told(top, where, words):
    run(top / "1.nxs", 1)
    with pytest.raises(AlcError) as caught:
        table("dms://raw", columns="entry/run", where=where)
    assert words in caught.value.sentence
    assert caught.value.next_step


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.sampled_from(["time", "row", "run"]), st.sampled_from(["=", "<", "<=", ">", ">="]),
                          st.integers(-1, 9)), min_size=1, max_size=3))  # fmt: skip
def test_f7_where_is_what_a_filter_of_the_whole_table_leaves(top, wanted):
    if not (top / "0.nxs").exists():
        for number in range(3):
            run(top / f"{number}.nxs", number, frames=5)
    options = {"columns": "entry/run, entry/data/time, entry/data/counts", "explode": "time, counts"}
    every, _ = table("dms://raw", **options)
    got, _ = table("dms://raw", where=" and ".join(f"{name} {how} {value}" for name, how, value in wanted), **options)
    compared = {"=": "__eq__", "<": "__lt__", "<=": "__le__", ">": "__gt__", ">=": "__ge__"}
    assert got == [
        row for row in every if all(getattr(float(row[name]), compared[how])(value) for name, how, value in wanted)
    ]


def test_f7_where_on_other_formats(top):
    columns = {"run": np.arange(40_000), "q": np.random.default_rng(1).random(40_000)}
    pa.parquet.write_table(pa.table(columns), top / "runs.parquet", row_group_size=4_000)
    (top / "runs.csv").write_text("run,q\n" + "".join(f"{each},{each / 7}\n" for each in range(100)))
    rows, _ = table("dms://raw/runs.parquet", where="run >= 12345 and run < 12350")
    assert [row["run"] for row in rows] == list(range(12345, 12350))
    rows, _ = table("dms://raw/runs.csv", where="q <= 0.3")
    assert [row["run"] for row in rows] == [0, 1, 2]
