"""What is read: objects of known bytes in one bucket, and the same as files of a local folder to compare with."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import h5py
import numpy as np
from aiobotocore.config import AioConfig  # type: ignore[import-untyped]
from aiobotocore.session import get_session  # type: ignore[import-untyped]

import nexus

if TYPE_CHECKING:
    from pathlib import Path

    from labs.buckets import Buckets

BIG: Final = "big.bin"
CACHED: Final = "cached.bin"
SMALL: Final = "small"
NAMES: Final = "names"
RUN: Final = "run.nxs"
SCAN: Final = "scan"
EVENTS: Final = "entry/events/time_of_flight"
ANGLE: Final = "entry/angle"

_MIB: Final = 1 << 20
_AT_ONCE: Final = 32


@dataclass(frozen=True)
class Sizes:
    """How much of everything; bytes and counts."""

    big_bytes: int = 1 << 30
    cached_bytes: int = 256 << 20
    random_reads: int = 500
    small_files: int = 300
    small_bytes: int = 4096
    names: int = 10_000
    million: int = 1_000_000
    run: nexus.Shape = nexus.WHOLE
    scan_files: int = 2000
    scan_events: int = 10_000
    fio_seconds: float = 3.0
    most_seconds: float = 3.0
    """After so long a client that is slow at small files is stopped; its rate is of what it had done."""
    most_random_seconds: float = 10.0
    """The same for reads here and there, where a client that fetches large pieces becomes faster with time."""


TINY: Final = Sizes(
    big_bytes=8 << 20,
    cached_bytes=4 << 20,
    random_reads=20,
    small_files=20,
    names=300,
    million=5000,
    run=nexus.SMALL,
    scan_files=12,
    scan_events=1000,
    fio_seconds=0.5,
)


def write_sources(place: Path, sizes: Sizes) -> None:
    """Make the files; the same bytes each time."""
    for number, (name, size) in enumerate(((BIG, sizes.big_bytes), (CACHED, sizes.cached_bytes))):
        with (place / name).open("wb") as file:
            noise = np.random.default_rng(number)
            for start in range(0, size, 64 * _MIB):
                file.write(noise.bytes(min(64 * _MIB, size - start)))
    (place / SMALL).mkdir()
    noise = np.random.default_rng(9)
    for number in range(sizes.small_files):
        (place / SMALL / small_name(number)).write_bytes(noise.bytes(sizes.small_bytes))
    (place / NAMES).mkdir()
    for number in range(sizes.names):
        (place / NAMES / f"event-{number:06}.nxs").write_bytes(b"%d" % number)
    nexus.make(place / RUN, sizes.run)
    (place / SCAN).mkdir()
    for number in range(sizes.scan_files):
        write_scan_point(place / SCAN / f"point-{number:05}.h5", number, sizes.scan_events)


def small_name(number: int) -> str:
    """What the small object of this number is called."""
    return f"spectrum-{number:05}.dat"


def write_scan_point(file: Path, number: int, events: int) -> None:
    """One point of a scan: its number and some events."""
    with h5py.File(file, "w") as point:
        point[ANGLE] = number * 0.01
        point.create_dataset(EVENTS, data=_events(number, events), chunks=(min(events, 8192),))


def events_total(sizes: Sizes) -> int:
    """All events of all points of the scan, added up."""
    return sum(int(_events(number, sizes.scan_events).sum(dtype="i8")) for number in range(sizes.scan_files))


def _events(number: int, count: int) -> Any:
    return np.random.default_rng(number).integers(0, 100_000, count, dtype="i4")


def plant(store: Buckets, bucket: str, source: Path) -> None:
    """Bring all sources into the bucket."""
    files = [one for one in sorted(source.rglob("*")) if one.is_file()]
    asyncio.run(_put_all(store, bucket, [(str(one.relative_to(source)), one) for one in files]))


async def _put_all(store: Buckets, bucket: str, files: list[tuple[str, Path]]) -> None:
    jobs = iter(files)
    async with client_of(store.state) as client:

        async def put() -> None:
            for key, file in jobs:
                await client.put_object(Bucket=bucket, Key=key, Body=file.read_bytes())

        await asyncio.gather(*(put() for _ in range(_AT_ONCE)))


def client_of(state: dict[str, Any], endpoint: str = "", connections: int = 64) -> Any:
    """An asynchronous S3 client of the bucket's owner, as a context manager; no FUSE, nothing of ours."""
    return get_session().create_client(
        "s3",
        endpoint_url=endpoint or state["endpoint"],
        region_name=state["region"],
        aws_access_key_id=state["access_key"],
        aws_secret_access_key=state["secret_key"],
        config=AioConfig(
            s3={"addressing_style": "path", "payload_signing_enabled": False},
            max_pool_connections=connections,
            retries={"total_max_attempts": 3},
            proxies={},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    )
