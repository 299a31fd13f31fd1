"""The floor: the same bytes through the same proxy without a mount, by a plain client of S3 (aiobotocore)."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Final

from bench.reading import plant
from bench.reading.works import BLOCK, DEPTH, MIB, places_of
from day.report import require
from jupyter_alc.dms.adapters.s3 import S3Adapter

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from bench.reading.works import Figures, Scene

_PIECE: Final = 8 * MIB
_AT_ONCE: Final = 16
_FILES_AT_ONCE: Final = 32
NAME: Final = "floor"


def first_bytes(scene: Scene) -> Figures:
    """One GET of 4 KiB on a connection that is there."""

    async def work(client: Any) -> Figures:
        await _get(client, scene, plant.BIG, 1 << 20, 4096)
        seconds = await _timed(_get(client, scene, plant.BIG, 0, 4096))
        return {"ms": seconds * 1000}

    return _with_client(scene, work)


def stream(scene: Scene) -> Figures:
    """The whole object, sixteen pieces of 8 MiB at once."""

    async def work(client: Any) -> Figures:
        size = scene.sizes.big_bytes
        jobs = [(plant.BIG, place, min(_PIECE, size - place)) for place in range(0, size, _PIECE)]
        return {"cold MiB/s": size / MIB / await _timed(_all(client, scene, jobs, _AT_ONCE))}

    return _with_client(scene, work)


def scattered(scene: Scene, *, aligned: bool) -> Figures:
    """The same places, eight at once."""

    async def work(client: Any) -> Figures:
        places = places_of(scene.sizes, aligned=aligned)
        seconds = await _timed(_all(client, scene, [(plant.BIG, place, BLOCK) for place in places], DEPTH))
        return {"reads/s": len(places) / seconds}

    return _with_client(scene, work)


def small_files(scene: Scene) -> Figures:
    """All small objects, 32 at once; their names are known."""

    async def work(client: Any) -> Figures:
        jobs = [(f"{plant.SMALL}/{plant.small_name(n)}", 0, 0) for n in range(scene.sizes.small_files)]
        return {"files/s": len(jobs) / await _timed(_all(client, scene, jobs, _FILES_AT_ONCE))}

    return _with_client(scene, work)


def names(scene: Scene) -> Figures:
    """All names of the folder by the S3 API, page after page: by our own adapter, since botocore takes longer."""

    async def work() -> Figures:
        store = scene.store
        url = f"s3://{store.bucket}/?endpoint={store.endpoint}&region={store.region}"
        adapter = S3Adapter(url, {"access_key": store.access_key, "secret_key": store.secret_key})
        try:
            await adapter.info(plant.BIG)  # a connection
            since = time.perf_counter()
            seen = len(await adapter.listing(plant.NAMES))
            seconds = time.perf_counter() - since
        finally:
            await adapter.close()
        require(seen == scene.sizes.names, f"the listing has {seen} names")
        return {"cold s": seconds}

    return asyncio.run(work())


def _with_client(scene: Scene, work: Callable[[Any], Awaitable[Figures]]) -> Figures:
    async def do() -> Figures:
        store = scene.store
        keys = {"region": store.region, "access_key": store.access_key, "secret_key": store.secret_key}
        async with plant.client_of({"endpoint": store.endpoint, **keys}) as client:
            await client.head_object(Bucket=store.bucket, Key=plant.BIG)  # a connection, and the keys looked up
            return await work(client)

    return asyncio.run(do())


async def _timed(work: Awaitable[Any]) -> float:
    since = time.perf_counter()
    await work
    return time.perf_counter() - since


async def _all(client: Any, scene: Scene, jobs: list[tuple[str, int, int]], at_once: int) -> None:
    left = iter(jobs)

    async def one() -> None:
        for key, place, size in left:
            await _get(client, scene, key, place, size)

    await asyncio.gather(*(one() for _ in range(at_once)))


async def _get(client: Any, scene: Scene, key: str, place: int, size: int) -> None:
    """A range of an object, or all of it for a size of 0."""
    asked = {"Range": f"bytes={place}-{place + size - 1}"} if size else {}
    answer = await client.get_object(Bucket=scene.store.bucket, Key=key, **asked)
    async with answer["Body"] as body:
        held = len(await body.read())
    require(held == (size or scene.sizes.small_bytes), f"{key} came with {held} bytes")
