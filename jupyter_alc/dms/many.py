"""Ranges of many files, asked for by as few requests as hold them. Shared out purely; asked side by side."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from jupyter_alc.core.errors import AlcError
from jupyter_alc.dms.ranges import MOST_BYTES, extent, fits, requests

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from jupyter_alc.dms.access import Access
    from jupyter_alc.dms.ranges import Range

MOST_FILES: Final = 64  # of one request
_REQUESTS_AT_ONCE: Final = 3
_ALONE_AT_ONCE: Final = 32  # files whose bytes are many, or not known

Got = list[bytes] | AlcError
"""The bytes of each range of a file, or why there are none."""


class Asked(NamedTuple):
    """Ranges of one version of a file, of `token` if one is named."""

    path: str
    ranges: Sequence[Range]
    token: str = ""


async def ranges_of(
    access: Access,
    wanted: Mapping[str, Sequence[Range]],
    most_files: int = MOST_FILES,
    tokens: Mapping[str, str] | None = None,
) -> list[Got]:
    """What is `wanted` of each file, in order; `most_files` by one request. A file's ranges are of one version.

    `tokens` names the versions that are meant: a file that is another one now is `VersionChanged`.
    """
    named = tokens or {}
    found: dict[str, Got] = {}
    together, alone = asyncio.Semaphore(_REQUESTS_AT_ONCE), asyncio.Semaphore(_ALONE_AT_ONCE)

    async def ask(files: list[Asked]) -> None:
        async with together if fits(files[0].ranges) else alone:
            got: list[Got]
            try:
                got = await access.many(files) if len(files) > 1 else [await _of_one(access, files[0])]
            except AlcError as error:
                got = [error] * len(files)
        found.update(zip((one.path for one in files), got, strict=True))

    files = (Asked(path, ranges, named.get(path, "")) for path, ranges in wanted.items())
    await asyncio.gather(*(ask(batch) for batch in batches(files, most_files)))
    return [found[path] for path in wanted]


def batches(files: Iterable[Asked], most_files: int = MOST_FILES) -> Iterator[list[Asked]]:
    """Share files out, in order, to requests that hold them; one whose bytes are many, or not known, is alone."""
    batch: list[Asked] = []
    for one in files:
        if not fits(one.ranges):
            yield [one]
            continue
        if batch and (len(batch) >= most_files or not fits([each for held in (*batch, one) for each in held.ranges])):
            yield batch
            batch = []
        batch.append(one)
    if batch:
        yield batch


async def _of_one(access: Access, asked: Asked) -> list[bytes]:
    """Ranges of one version of a file: by one request if they fit, else by several, three at a time."""
    path, wanted, token = asked
    if fits(wanted):
        return await access.ranges(path, wanted, token)
    told = await access.info(path)
    token = token or told.get("token", "")
    turns = asyncio.Semaphore(_REQUESTS_AT_ONCE)

    async def ask(batch: list[tuple[int, int]]) -> list[bytes]:
        async with turns:
            if sum(stop - start for start, stop in batch) > MOST_BYTES:
                return [await access.read(path, *batch[0], token)]
            return await access.ranges(path, batch, token)

    shared = requests(extent(told["size"], *each) for each in wanted)
    return [content for part in await asyncio.gather(*map(ask, shared)) for content in part]


def sizes_told(got: Sequence[Got]) -> list[dict[str, Any]]:
    """What stands before the bytes in an answer: the length of each range, or the error, of each file."""
    return [one.as_json() if isinstance(one, AlcError) else {"lengths": [len(each) for each in one]} for one in got]
