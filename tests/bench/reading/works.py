"""The rows: what a program does with the mounted folder, checked byte for byte, and what that took and moved."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import random
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import h5py

import nexus
from bench.reading import plant
from bench.reading.many_names import FOLDER
from bench.reading.measuring import Stretch, forget, peak_mib
from day.report import require

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from bench.reading.clients import Mounted, Store
    from bench.reading.plant import Sizes
    from bench.reading.proxy import Proxy

MIB: Final = 1 << 20
BLOCK: Final = 64 << 10
DEPTH: Final = 8

Figures = dict[str, float]


@dataclass(frozen=True)
class Scene:
    """What all rows share: the objects' local copies, the way to the store, how much of everything."""

    source: Path
    store: Store
    proxy: Proxy
    sizes: Sizes
    round_trip: float = 0.0


def first_bytes(scene: Scene, on: Mounted) -> Figures:
    """Open a cold object and read its first 4 KiB."""
    with Stretch(scene.proxy) as took:
        number = os.open(on.folder / plant.BIG, os.O_RDONLY)
        told = os.pread(number, 4096, 0)
        os.close(number)
    _same(told, scene.source / plant.BIG, 0)
    return {
        "ms": took.seconds * 1000, "KiB moved": took.moved.down / 1024,
        "requests": took.moved.requests, "range requests": took.moved.ranges,
    }  # fmt: skip


def stream(scene: Scene, on: Mounted) -> Figures:
    """Read a whole cold object in order, 1 MiB at a time; then again, when the kernel has forgotten it."""
    file, size = on.folder / plant.BIG, scene.sizes.big_bytes
    with Stretch(scene.proxy, on.pid) as cold:
        _read_through(file, size)
    peak = peak_mib(on.pid)
    forget(file)
    with Stretch(scene.proxy, on.pid) as again:
        _read_through(file, size)
    forget(file)
    _look_here_and_there(file, scene.source / plant.BIG, size)
    return {
        "cold MiB/s": size / MIB / cold.seconds, "cold moved / asked": cold.moved.down / size,
        "cold requests": cold.moved.requests, "cold CPU-s per GiB": cold.cpu * (1 << 30) / size, "peak MiB": peak,
        "again MiB/s": size / MIB / again.seconds, "again bytes moved": again.moved.down,
        "again CPU-s per GiB": again.cpu * (1 << 30) / size,
    }  # fmt: skip


def scattered(scene: Scene, on: Mounted, *, aligned: bool) -> Figures:
    """Read 64 KiB here and there in a cold object, no place twice, by eight readers."""
    file = on.folder / plant.BIG
    places = places_of(scene.sizes, aligned=aligned)
    with Stretch(scene.proxy, on.pid) as took, _shared(file) as number:
        told = in_parallel(
            places, lambda place: os.pread(number, BLOCK, place), most_seconds=scene.sizes.most_random_seconds
        )
        seconds = told.seconds
    for place, data in told.done:
        _same(data, scene.source / plant.BIG, place)
    asked = len(told.done) * BLOCK
    return {
        "reads/s": len(told.done) / seconds, "reads": len(told.done),
        "moved / asked": took.moved.down / asked, "requests / read": took.moved.requests / len(told.done),
        "CPU ms per read": took.cpu * 1000 / len(told.done),
    }  # fmt: skip


def cached_4k(scene: Scene, on: Mounted) -> Figures:
    """Read 4 KiB here and there of what is cached, past the kernel's cache, by eight readers (fio)."""
    file = on.folder / plant.CACHED
    _read_through(file, scene.sizes.cached_bytes)
    forget(file)
    with Stretch(scene.proxy, on.pid) as took:
        told = fio(file, scene.sizes.cached_bytes, scene.sizes.fio_seconds)
    return {
        "reads/s": told["iops"], "us CPU per read": took.cpu * 1e6 / told["total_ios"], "moved": took.moved.down,
    }  # fmt: skip


def small_files(scene: Scene, on: Mounted) -> Figures:
    """List a cold folder and read each of its small files whole, one after the other."""
    folder = on.folder / plant.SMALL
    told, whole = list[tuple[str, bytes]](), True
    with Stretch(scene.proxy, on.pid) as took:
        for one in sorted(os.scandir(folder), key=lambda entry: entry.name):
            with open(one.path, "rb", buffering=0) as file:  # noqa: PTH123  (what most programs do)
                told.append((one.name, file.read()))
            if time.perf_counter() - took.since > scene.sizes.most_seconds:
                whole = False
                break
    for name, data in told:
        require(data == (scene.source / plant.SMALL / name).read_bytes(), f"{name} was read wrong")
    require(not whole or len(told) == scene.sizes.small_files, f"{len(told)} files were listed, not all")
    return {
        "files/s": len(told) / took.seconds, "files": len(told), "requests / file": took.moved.requests / len(told),
        "moved / asked": took.moved.down / (len(told) * scene.sizes.small_bytes),
    }  # fmt: skip


def names(scene: Scene, on: Mounted) -> Figures:
    """`ls -l` of a cold folder of many objects, and once more."""
    with Stretch(scene.proxy, on.pid) as cold:
        _ls(on.folder / plant.NAMES, scene.sizes.names)
    with Stretch(scene.proxy, on.pid) as warm:
        _ls(on.folder / plant.NAMES, scene.sizes.names)
    return {
        "cold s": cold.seconds, "cold requests": cold.moved.requests, "cold CPU-s": cold.cpu,
        "warm ms": warm.seconds * 1000, "warm requests": warm.moved.requests, "peak MiB": peak_mib(on.pid),
    }  # fmt: skip


def million(scene: Scene, on: Mounted) -> Figures:
    """All names of a cold folder of very many, by readdir, and once more."""
    folder = on.folder / FOLDER.strip("/")
    with Stretch(scene.proxy, on.pid) as cold, os.scandir(folder) as names:
        next(names)
        first = time.perf_counter()
        count = 1 + sum(1 for _ in names)
    require(count == scene.sizes.million, f"there are {scene.sizes.million} names, {count} were listed")
    with Stretch(scene.proxy, on.pid) as again, os.scandir(folder) as names:
        count = sum(1 for _ in names)
    require(count == scene.sizes.million, f"there are {scene.sizes.million} names, {count} were listed again")
    return {
        "first name s": first - cold.since, "all names s": cold.seconds, "requests": cold.moved.requests,
        "CPU-s": cold.cpu, "peak MiB": peak_mib(on.pid),
        "again s": again.seconds, "again requests": again.moved.requests,
    }  # fmt: skip


def one_frame(scene: Scene, on: Mounted) -> Figures:
    """Open a cold NeXus file by h5py and read one detector frame from its middle."""
    with Stretch(scene.proxy, on.pid) as took, h5py.File(on.folder / plant.RUN, "r") as run:
        frame = nexus.one_frame(run)
    with h5py.File(scene.source / plant.RUN, "r") as run:
        require((nexus.one_frame(run) == frame).all(), "the frame was read wrong")
    return {
        "s": took.seconds, "MB moved": took.moved.down / 1e6, "moved / asked": took.moved.down / frame.nbytes,
        "requests": took.moved.requests,
    }  # fmt: skip


def places_of(sizes: Sizes, *, aligned: bool) -> list[int]:
    """Where the scattered reads are: in blocks that are no neighbours, at their start or in their middle."""
    chance = random.Random(7)
    blocks = chance.sample(range(0, sizes.big_bytes // BLOCK - 1, 2), sizes.random_reads)
    return [block * BLOCK + (0 if aligned else chance.randrange(1, BLOCK)) for block in blocks]


@dataclass(frozen=True)
class Done:
    """What several readers have read, by place, and in how long."""

    done: list[tuple[int, bytes]]
    seconds: float


def in_parallel(places: list[int], read: Callable[[int], bytes], *, most_seconds: float) -> Done:
    """Let eight threads take the places in order, none after `most_seconds`."""
    jobs, since = iter(places), time.perf_counter()

    def one(_: int) -> list[tuple[int, bytes]]:
        told = []
        for place in jobs:  # a list's iterator gives each place once, whoever asks
            told.append((place, read(place)))
            if time.perf_counter() - since > most_seconds:
                break
        return told

    with ThreadPoolExecutor(DEPTH) as pool:
        done = list(itertools.chain.from_iterable(pool.map(one, range(DEPTH))))
    return Done(done, time.perf_counter() - since)


def fio(file: Path, size: int, seconds: float) -> dict[str, float]:
    """Random reads of 4 KiB by eight threads, past the kernel's cache: fio's figures of reading."""
    command = [
        "fio", "--name=cached", f"--filename={file}", f"--size={size}", "--rw=randread", "--bs=4k", "--direct=1",
        "--ioengine=psync", "--thread", f"--numjobs={DEPTH}", "--time_based", f"--runtime={seconds}", "--readonly",
        "--group_reporting", "--norandommap", "--output-format=json",
    ]  # fmt: skip
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120)
    told: dict[str, float] = json.loads(done.stdout[done.stdout.index("{") :])["jobs"][0]["read"]
    return told


@contextlib.contextmanager
def _shared(file: Path) -> Iterator[int]:
    number = os.open(file, os.O_RDONLY)
    try:
        yield number
    finally:
        os.close(number)


def _read_through(file: Path, size: int) -> None:
    buffer, total = bytearray(MIB), 0
    with file.open("rb", buffering=0) as opened:
        while held := opened.readinto(buffer):
            total += held
    require(total == size, f"{file.name} has {size} bytes, {total} were read")


def _look_here_and_there(file: Path, source: Path, size: int) -> None:
    with file.open("rb", buffering=0) as opened:
        for place in range(0, size, max(1, size // 64)):
            _same(os.pread(opened.fileno(), 8192, place), source, place)


def _same(data: bytes, source: Path, place: int) -> None:
    with source.open("rb") as file:
        file.seek(place)
        require(data == file.read(len(data)) and data, f"{source.name} was read wrong at {place}")


def _ls(folder: Path, count: int) -> None:
    done = subprocess.run(["ls", "-l", str(folder)], check=True, capture_output=True, timeout=300)
    require(done.stdout.count(b"\n") == count + 1, f"{folder.name} has {count} names, ls shows others")
