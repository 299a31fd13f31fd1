"""Large objects in parts: several at once, those that arrived before a kill not again, copied by the archive itself.

Until it is whole, the key holds the number of the upload: a session that may see its own prefix alone may not list
what is on its way in a bucket.
"""

from __future__ import annotations

import asyncio
import math
from contextlib import asynccontextmanager
from io import BytesIO
from typing import TYPE_CHECKING, Final
from urllib.parse import quote
from xml.sax.saxutils import escape

from jupyter_alc.core.errors import ArchiveUnreachable
from jupyter_alc.dms.adapters.answers import NotAnAnswer, guarded
from jupyter_alc.dms.adapters.interface import AnsweredBadly, Sent
from jupyter_alc.dms.adapters.s3_answers import quoted
from jupyter_alc.dms.adapters.s3_conditions import md5, md5_header

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path
    from xml.etree.ElementTree import Element

    from jupyter_alc.dms.adapters.s3_bucket import Bucket
    from jupyter_alc.dms.entry import Entry

PART_BYTES: Final = 16 << 20
COPY_BYTES: Final = 5 << 30
"""What S3 copies by one request."""
_AT_ONCE: Final = 4
_MOST_PARTS: Final = 10_000
_NUMBER: Final = b"on its way to here, as the upload "
_LONGEST_NUMBER: Final = 1024


class Parts:
    """What is on its way to one key."""

    def __init__(self, bucket: Bucket, key: str) -> None:
        self._bucket, self._key, self._path = bucket, key, key.removeprefix(bucket.top)

    @staticmethod
    def needed_for(size: int) -> bool:
        """Say whether a file of this size goes in parts."""
        return size > PART_BYTES

    async def send(self, source: Path, size: int, sent: Sent) -> None:
        """Bring `source` to the key; goes on with the parts that an earlier try left, if they are of these bytes."""
        length = max(PART_BYTES, math.ceil(size / _MOST_PARTS))
        upload, arrived = await self._left()
        if not upload:
            upload = await self._begin()
            await self._note(upload)
        slots, done = asyncio.Semaphore(_AT_ONCE), 0

        async def one(number: int) -> str:
            nonlocal done
            async with slots:
                data = await asyncio.to_thread(_slice, source, number * length, length)
                digest = await asyncio.to_thread(md5, data)
                etag = f'"{digest.hex()}"'
                if arrived.get(number + 1) != (etag, len(data)):
                    etag = await self._put(upload, number + 1, data, digest)
                done += len(data)
                sent(done)
                return etag

        async with _together() as group:
            tasks = [group.create_task(one(number)) for number in range(math.ceil(size / length))]
        await self._complete(upload, [task.result() for task in tasks])

    async def copy(self, source: str, entry: Entry) -> None:
        """Have the archive copy the object at the key `source`, which `entry` tells of, to the key."""
        where = {"x-amz-copy-source": _copy_source(self._bucket.name, source)}
        if entry.size <= COPY_BYTES:
            async with self._bucket.ask("PUT", self._path, self._key, headers=where, fine={200}) as answer:
                expect(await answer.read(), "CopyObjectResult")
            return
        upload, etags = await self._begin(), list[str]()
        try:
            for number, start in enumerate(range(0, entry.size, COPY_BYTES), 1):
                stop = min(start + COPY_BYTES, entry.size)
                headers = {**where, "x-amz-copy-source-range": f"bytes={start}-{stop - 1}"}
                query = {"partNumber": str(number), "uploadId": upload}
                async with self._bucket.ask(
                    "PUT", self._path, self._key, query=query, headers=headers, fine={200}
                ) as answer:
                    etags.append(_text(expect(await answer.read(), "CopyPartResult"), "ETag"))
            await self._complete(upload, etags)
        except BaseException:
            await self._abort(upload)
            raise

    async def abort(self) -> None:
        """Forget what is on its way."""
        if upload := await self._noted():
            await self._abort(upload)

    async def _begin(self) -> str:
        async with self._bucket.ask("POST", self._path, self._key, query={"uploads": ""}, fine={200}) as answer:
            return _text(expect(await answer.read(), "InitiateMultipartUploadResult"), "UploadId")

    async def _left(self) -> tuple[str, dict[int, tuple[str, int]]]:
        """The upload that an earlier try began, and its parts; "" for none."""
        upload = await self._noted()
        arrived = await self._arrived(upload) if upload else None
        return (upload, arrived) if arrived is not None else ("", {})

    async def _note(self, upload: str) -> None:
        note = _NUMBER + upload.encode()
        async with self._bucket.ask("PUT", self._path, self._key, body=lambda: note, fine={200}):
            pass

    async def _noted(self) -> str:
        async with self._bucket.ask("GET", self._path, self._key, fine={200, 404}) as answer:
            if answer.status == 404 or (answer.content_length or 0) > _LONGEST_NUMBER:
                answer.close()
                return ""
            note = await answer.read()
        return note.removeprefix(_NUMBER).decode(errors="replace") if note.startswith(_NUMBER) else ""

    async def _arrived(self, upload: str) -> dict[int, tuple[str, int]] | None:
        """ETag and size of each part that is there, by number; None if there is no such upload any more."""
        told, after = dict[int, tuple[str, int]](), ""
        while True:
            query = {"uploadId": upload, **({"part-number-marker": after} if after else {})}
            async with self._bucket.ask("GET", self._path, self._key, query=query, fine={200, 404}) as answer:
                if answer.status == 404:
                    return None
                root = expect(await answer.read(), "ListPartsResult")
            for one in root.findall("{*}Part"):
                told[int(_text(one, "PartNumber"))] = (quoted(_text(one, "ETag")), int(_text(one, "Size")))
            following = root.findtext("{*}NextPartNumberMarker") or ""
            if root.findtext("{*}IsTruncated") != "true" or following in {"", after}:
                return told
            after = following

    async def _put(self, upload: str, number: int, data: bytes, digest: bytes) -> str:
        query, headers = {"partNumber": str(number), "uploadId": upload}, md5_header(digest)
        async with self._bucket.ask(
            "PUT", self._path, self._key, query=query, headers=headers, body=lambda: BytesIO(data), fine={200}
        ) as answer:
            return quoted(answer.headers.get("ETag", ""))

    async def _complete(self, upload: str, etags: list[str]) -> None:
        parts = "".join(
            f"<Part><PartNumber>{number}</PartNumber><ETag>{escape(etag)}</ETag></Part>"
            for number, etag in enumerate(etags, 1)
        )
        body = f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>".encode()
        headers: Mapping[str, str] = {"Content-Type": "application/xml"}
        async with self._bucket.ask(
            "POST", self._path, self._key, query={"uploadId": upload}, headers=headers, body=lambda: body, fine={200}
        ) as answer:
            expect(await answer.read(), "CompleteMultipartUploadResult")

    async def _abort(self, upload: str) -> None:
        async with self._bucket.ask("DELETE", self._path, self._key, query={"uploadId": upload}, fine={200, 204, 404}):
            pass


@asynccontextmanager
async def _together() -> AsyncIterator[asyncio.TaskGroup]:
    """All or none; of several errors the first is the one."""
    try:
        async with asyncio.TaskGroup() as group:
            yield group
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None


def _copy_source(bucket: str, key: str) -> str:
    return f"/{quote(bucket, safe='')}/{quote(key, safe='/')}"


def _slice(source: Path, start: int, length: int) -> bytes:
    with source.open("rb") as file:
        file.seek(start)
        return file.read(length)


def expect(text: bytes, name: str) -> Element:
    """The answer of this name; S3 may begin with 200 and tell a failure inside."""
    try:
        root = guarded(text.strip())
    except NotAnAnswer as error:
        raise ArchiveUnreachable("The archive's answer is not S3.", next_step="Try again.") from error
    if root.tag.rpartition("}")[2] != name:
        raise AnsweredBadly("The archive began and did not finish.", next_step="Try again.")
    return root


def _text(root: Element, name: str) -> str:
    told = root.findtext(f"{{*}}{name}")
    if not told:
        raise AnsweredBadly("The archive's answer lacks what it should tell.", next_step="Try again.")
    return told
