"""HDF5's chunk indexes as h5py writes them, found in the bytes of the file; F1 of docs/semantics/dms.md."""

import functools
import io
import itertools

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from jupyter_alc.dms.engine.planner import BLOCK
from jupyter_alc.dms.formats.chunks import MOST_CHUNKS
from jupyter_alc.dms.formats.hdf5 import HEAD, Hdf5, begins

pytestmark = pytest.mark.unit
LIBVERS = ["earliest", "v108", "v110", "latest"]
DATASETS = {
    "events": {"shape": (40_000,), "chunks": (100,), "maxshape": (None,)},
    "few events": {"shape": (90,), "chunks": (10,), "maxshape": (None,)},
    "one chunk": {"shape": (100, 100), "chunks": (100, 100)},
    "frames": {"shape": (30, 60, 60), "chunks": (1, 60, 60)},
    "tiles": {"shape": (50, 200, 90), "chunks": (5, 50, 90)},
    "many tiles": {"shape": (300, 20, 20), "chunks": (1, 10, 10)},
    "growing tiles": {"shape": (60, 120, 120), "chunks": (1, 40, 40), "maxshape": (None, None, None)},
    "growing frames": {"shape": (70, 30, 30), "chunks": (1, 30, 30), "maxshape": (None, 30, 30)},
}


@functools.cache
def written(libver, compression=None, userblock=0):
    """The bytes of a file with all these datasets, and where h5py says their chunks are."""
    place = io.BytesIO()
    random = np.random.default_rng(1)
    with h5py.File(place, "w", libver=libver, userblock_size=userblock) as file:
        file.create_dataset("contiguous", data=random.integers(0, 255, 100_000, dtype="u1"))
        for name, options in DATASETS.items():
            made = file.create_dataset(name, dtype="u2", compression=compression, **options)
            made[...] = random.integers(0, 65_000, made.shape, dtype="u2")
            made.attrs["units"] = "counts"
    chunks = {}
    with h5py.File(place, "r") as file:
        for name in DATASETS:
            told: list[tuple[tuple[int, ...], int, int]] = []
            file[name].id.chunk_iter(lambda one, told=told: told.append((one.chunk_offset, one.byte_offset, one.size)))
            chunks[name] = [(start, size) for _, start, size in sorted(told)]
    return place.getvalue(), chunks


def learned(content, order=None, newer=None):
    base, maybe_newer = begins(content[:HEAD])
    known = Hdf5(len(content), base, newer=maybe_newer if newer is None else newer)
    blocks = range(-(-len(content) // BLOCK))
    for number in order or blocks:
        known.learn(lambda start, stop: content[start:stop] if stop <= len(content) else None, [number])
    return known


@pytest.mark.parametrize(("compression", "userblock"), [(None, 0), ("gzip", 0), ("gzip", 512)])
@pytest.mark.parametrize("libver", LIBVERS)
def test_every_chunk_is_known_and_no_other(libver, compression, userblock):
    content, chunks = written(libver, compression, userblock)
    known = learned(content).chunks
    for name, wanted in chunks.items():
        for start, size in wanted:
            for offset in (start, start + size - 1):
                place = known.at(offset)
                assert place is not None, (name, start)
                assert (place.extent.start, place.extent.size) == (start, size), name
    assert known.count == sum(map(len, chunks.values()))


@pytest.mark.parametrize("name", ["events", "few events", "frames", "tiles", "many tiles", "growing frames"])
@pytest.mark.parametrize("compression", [None, "gzip"])
@pytest.mark.parametrize("libver", LIBVERS)
def test_the_chunks_follow_each_other_as_in_the_dataset(libver, compression, name):
    content, chunks = written(libver, compression)
    known = learned(content).chunks
    for (start, _), (following, _) in itertools.pairwise(chunks[name]):
        after = known.after(known.at(start))
        assert after is not None
        assert after.extent.start == following


@pytest.mark.parametrize("libver", LIBVERS)
def test_the_order_in_which_blocks_are_touched_does_not_matter(libver):
    content, chunks = written(libver, "gzip")
    blocks = list(range(-(-len(content) // BLOCK)))
    np.random.default_rng(3).shuffle(blocks)
    assert learned(content, blocks + blocks[:1]).chunks.count == sum(map(len, chunks.values()))


@pytest.mark.parametrize("libver", LIBVERS)
def test_what_is_not_here_is_known_once_it_comes(libver):
    content, chunks = written(libver, "gzip")
    base, newer = begins(content[:HEAD])
    known, here = Hdf5(len(content), base, newer=newer), set()

    def peek(start, stop):
        return content[start:stop] if set(range(start // BLOCK, -(-stop // BLOCK))) <= here else None

    for number in range(-(-len(content) // BLOCK)):
        here.add(number)
        known.learn(peek, [number])
    known.learn(peek, [0])
    assert known.chunks.count == sum(map(len, chunks.values()))


def test_a_file_of_another_format_is_none():
    assert begins(b"PAR1" + bytes(100)) is None
    assert begins(b"") is None
    assert begins(b"\x89HDF\r\n\x1a\n" + bytes(8)) is None


def test_more_chunks_than_are_kept_cost_no_more_memory():
    place = io.BytesIO()
    with h5py.File(place, "w", libver="latest") as file:
        file.create_dataset("many", data=np.zeros(3 * MOST_CHUNKS, "u1"), chunks=(2,))
    assert 0 < learned(place.getvalue()).chunks.count <= MOST_CHUNKS


CONTENTS = {libver: written(libver, "gzip")[0] for libver in ("earliest", "latest")}


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from(sorted(CONTENTS)),
    st.lists(st.tuples(st.integers(0, 1 << 20), st.binary(min_size=1, max_size=16)), min_size=1, max_size=60),
)
@example("latest", [])
def test_damaged_files_are_harmless(libver, changes):
    """Whatever a file says, what is known of it lies inside it."""
    content = bytearray(CONTENTS[libver])
    pages = [
        at for mark in (b"TREE", b"OHDR", b"FAHD", b"EAHD", b"EADB", b"BTHD", b"BTLF") for at in _all(content, mark)
    ]
    for where, new in changes:
        at = min(pages[where % len(pages)] + where % 200, len(content) - len(new))
        content[at : at + len(new)] = new
    known = learned(bytes(content), newer=True).chunks
    assert known.count <= MOST_CHUNKS
    for offset in range(0, len(content), 5000):
        place = known.at(offset)
        if place is not None:
            assert place.extent.start <= offset < place.extent.stop <= len(content)


MARKS = [b"TREE\x01\0\x40\0", b"OHDR\x02\4", b"FADB\0\1", b"EADB\0\1", b"BTHD\0\x0b", b"BTIN\0\x0b", b"BTLF\0\x0b"]
WORDS = [bytes(8), b"\xff" * 8, b"\x10" + bytes(7)]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(MARKS + WORDS), max_size=400))
def test_garbage_is_harmless(parts):
    content = b"\x89HDF\r\n\x1a\n\x02\x08\x08" + bytes(40) + b"".join(parts)
    learned(content)


def _all(content, mark):
    at, found = content.find(mark), []
    while at >= 0:
        found.append(at)
        at = content.find(mark, at + 1)
    return found
