"""What is in an HDF5 file, as Arrow has it: found along links into other files, put together where it is virtual."""

from __future__ import annotations

import itertools
import math
import os
import posixpath
from typing import TYPE_CHECKING, Any, Final

import h5py
import numpy as np
import pyarrow as pa
from h5py import h5d, h5f, h5g, h5l, h5o, h5p, h5s

from jupyter_alc.core.errors import BadInput, FileNotThere

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Self

_MOST_LINKS: Final = 16
_images = itertools.count()
_NUMBERS: Final = {
    "i1": pa.int8(), "i2": pa.int16(), "i4": pa.int32(), "i8": pa.int64(),
    "u1": pa.int16(), "u2": pa.int32(), "u4": pa.int64(), "u8": pa.decimal128(20, 0),
    "f2": pa.float32(), "f4": pa.float32(), "f8": pa.float64(), "b1": pa.bool_(),
}  # fmt: skip

Opening = "Callable[[str], Any]"
"""Opens the file of a `dms://` address for reading, as a file object."""


class Hdf5File:
    """One open file at `address`, and those it refers to, which are opened when they are needed."""

    def __init__(self, address: str, opened: Any, opening: Callable[[str], Any]) -> None:
        """`opened`: a file object, or the whole content as bytes."""
        self.address = address
        self._opening = opening
        self._others: dict[str, Hdf5File] = {}
        self._found: dict[str, tuple[Hdf5File, Any] | None] = {}
        self._source = None if isinstance(opened, bytes) else opened
        try:
            self._file = h5py.File(opened, "r") if self._source else h5py.File(_in_memory(opened))
        except OSError as error:
            if self._source:
                self._source.close()
            raise BadInput(
                f"{address} is not a whole HDF5 file ({str(error)[:120]}).", next_step="Name other files, or mend it."
            ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of all of it."""
        for other in self._others.values():
            other.close()
        if self._source is None:
            self._file.id.close()  # all at once: h5py would look for each thing that is open
        else:
            self._file.close()
            self._source.close()

    def find(self, path: str) -> tuple[Hdf5File, Any] | None:
        """What is at `path`, and in which file; None where there is nothing."""
        if path not in self._found:
            self._found[path] = self._find([each for each in path.split("/") if each], _MOST_LINKS)
        return self._found[path]

    def scalars(self) -> Iterator[tuple[str, Any]]:
        """Every dataset of one value whose type we know, by its path."""
        found = list[tuple[str, Any]]()

        def look(path: str, thing: Any) -> None:
            if isinstance(thing, h5py.Dataset) and thing.size == 1 and not thing.is_virtual:
                try:
                    arrow_type(thing.dtype)
                except TypeError:
                    return
                found.append((path, thing))

        self._file.visititems(look)
        return iter(found)

    def _find(self, parts: list[str], links: int) -> tuple[Hdf5File, Any] | None:
        at: Any = self._file.id
        for number, part in enumerate(parts):
            if not isinstance(at, h5g.GroupID):
                return None
            name = part.encode()
            if not at.links.exists(name):
                return None
            if at.links.get_info(name).type == h5l.TYPE_EXTERNAL:
                if links == 0:
                    raise BadInput(f"{self.address} has links that go in a circle.", next_step="Name another path.")
                file, inside = (os.fsdecode(each) for each in at.links.get_val(name))
                rest = [*(each for each in inside.split("/") if each), *parts[number + 1 :]]
                return self.other(file)._find(rest, links - 1)  # noqa: SLF001  (one of us)
            try:
                at = h5o.open(at, name)
            except KeyError:
                return None
        return self, _thing(at)

    def other(self, name: str) -> Hdf5File:
        """A file that this one refers to by `name`."""
        if name == ".":
            return self
        if name not in self._others:
            top = "dms://" + self.address.removeprefix("dms://").split("/")[0] + "/"
            scheme, folder = "dms://", posixpath.dirname(self.address.removeprefix("dms://"))
            address = scheme + posixpath.normpath(posixpath.join(folder, name))
            if name.startswith("/") or not address.startswith(top):
                raise BadInput(
                    f"{self.address} refers to {name}, which is outside of its dataset.",
                    next_step="Leave out the columns that are there.",
                )
            try:
                self._others[name] = Hdf5File(address, self._opening(address), self._opening)
            except FileNotFoundError as error:
                raise FileNotThere(
                    f"{self.address} refers to {address}, which is not there.",
                    next_step="Put it there, or leave out the columns that are in it.",
                ) from error
        return self._others[name]


def _in_memory(content: bytes) -> h5f.FileID:
    """A file whose bytes are here; all that is open of it is closed with it."""
    access = h5p.create(h5p.FILE_ACCESS)
    access.set_fapl_core(backing_store=False)
    access.set_fclose_degree(h5f.CLOSE_STRONG)
    try:
        access.set_file_image(content)
    except ValueError as error:  # HDF5 takes no image of no bytes
        raise OSError("it is empty") from error
    name = b"in memory %d" % next(_images)  # HDF5 takes two that are open under one name for one file
    return h5f.open(name, h5f.ACC_RDONLY, access)


def _thing(found: Any) -> Any:
    if isinstance(found, h5d.DatasetID):
        return h5py.Dataset(found)
    return h5py.Group(found) if isinstance(found, h5g.GroupID) else h5py.Datatype(found)


def read(owner: Hdf5File, data: Any, rows: slice | None) -> np.ndarray[Any, Any]:
    """The values of a dataset, or those of some steps along its first axis."""
    if not data.is_virtual:
        if data.shape is None:
            raise TypeError("has no value")
        if rows is None and data.dtype.kind in "iuf":  # h5py's own way costs more than most reads
            numbers = np.empty(data.shape, data.dtype)
            data.id.read(h5s.ALL, h5s.ALL, numbers)
            return numbers
        text = h5py.check_string_dtype(data.dtype) is not None
        seen = data.asstr("utf-8", errors="replace") if text else data
        return np.asarray(seen[rows] if rows is not None else seen[()])
    rows = rows if rows is not None else slice(0, data.shape[0])
    start, stop, _ = rows.indices(data.shape[0])
    made = np.full((stop - start, *data.shape[1:]), data.fillvalue, dtype=data.dtype)
    for source in data.virtual_sources():
        _put(owner, source, made, start)
    return made


def _put(owner: Hdf5File, source: Any, made: np.ndarray[Any, Any], start: int) -> None:
    """Put one source of a virtual dataset in its place."""
    into, out = _box(source.vspace), _box(source.src_space)
    if into is None or out is None:
        raise TypeError("is put together from pieces that are no blocks")
    first, last = max(into[0].start, start), min(into[0].stop, start + len(made))
    if first >= last:
        return
    found = owner.other(source.file_name).find(source.dset_name)
    if found is None:
        raise TypeError(f"needs {source.dset_name} of {source.file_name}, which is not there")
    there, data = found
    shape = tuple(each.stop - each.start for each in into)
    if out and len(out) == len(into) and out[0].stop - out[0].start == shape[0] and not data.is_virtual:
        skip = first - into[0].start
        out = (slice(out[0].start + skip, out[0].start + skip + last - first), *out[1:])
        values = np.asarray(data[out]).reshape((last - first, *shape[1:]))
    else:
        whole = read(there, data, None)[out].reshape(shape)
        values = whole[first - into[0].start : last - into[0].start]
    made[(slice(first - start, last - start), *into[1:])] = values


def _box(space: Any) -> tuple[slice, ...] | None:
    """The block that a selection is; None if it is none."""
    if space.get_simple_extent_ndims() == 0:
        return ()
    if space.get_select_type() == h5py.h5s.SEL_ALL:
        return tuple(slice(0, length) for length in space.shape)
    low, high = space.get_select_bounds()
    box = tuple(slice(int(one), int(other) + 1) for one, other in zip(low, high, strict=True))
    count = int(np.prod([each.stop - each.start for each in box]))
    return box if count == space.get_select_npoints() else None


def arrow_type(kind: Any, dimensions: int = 0) -> pa.DataType:
    """The type of values of one of numpy's types, in nested lists; `TypeError` for what a table cannot have."""
    if h5py.check_string_dtype(kind) is not None or kind.kind in "SU":
        made = pa.string()
    else:
        plain = h5py.check_enum_dtype(kind)
        is_bool = plain is not None and set(plain) == {"FALSE", "TRUE"}
        name = "b1" if is_bool or kind.kind == "b" else f"{kind.kind}{kind.itemsize}"
        if name not in _NUMBERS or kind.names is not None or h5py.check_vlen_dtype(kind) is not None:
            raise TypeError(f"has the type {kind}, which a table cannot have")
        made = _NUMBERS[name]
    for _ in range(dimensions):
        made = pa.list_(made)
    return made


def nested(values: np.ndarray[Any, Any]) -> pa.Array:
    """Values as a column: one entry for each step along the first axis, the other axes as lists in lists."""
    flat = values.reshape(-1)
    if flat.dtype.kind in "SUO":
        made: pa.Array = pa.array([_text(each) for each in flat], pa.string())
    else:
        kind = arrow_type(flat.dtype)
        native = np.ascontiguousarray(flat, dtype=flat.dtype.newbyteorder("="))
        made = pa.array(native)
        made = made if made.type == kind else made.cast(kind)
    for axis in range(values.ndim - 1, 0, -1):
        length, lists = values.shape[axis], math.prod(values.shape[:axis])
        made = pa.ListArray.from_arrays(pa.array(np.arange(lists + 1, dtype="i4") * length), made)
    return made


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
