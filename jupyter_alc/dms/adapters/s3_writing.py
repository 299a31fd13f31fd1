"""Files into S3: in one step where the bucket compares and replaces, else under a hidden name and copied (W16, W17)."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Final

from jupyter_alc.core.errors import FileNotThere
from jupyter_alc.dms.adapters.interface import AnsweredBadly, Sent, hidden_path
from jupyter_alc.dms.adapters.s3_answers import quoted
from jupyter_alc.dms.adapters.s3_conditions import Conditions, md5_header, probe
from jupyter_alc.dms.adapters.s3_parts import Parts
from jupyter_alc.dms.adapters.versions import changed
from jupyter_alc.dms.tokens import same_version

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from jupyter_alc.dms.adapters.s3_bucket import Bucket
    from jupyter_alc.dms.entry import Entry

ONE_STEP_BYTES: Final = 1 << 30
_PIECE: Final = 256 * 1024
_TRIES, _PAUSE = 4, 0.05
_PUT: Final = frozenset({200, 201, 204})
_TWO_STEPS: Final = (
    "this archive compares and replaces in two steps: two writers within the same moment may overwrite each other."
)
_NOT_TRIED: Final = "Whether this archive compares and replaces in one step is found out at the first write."

_known: dict[str, Conditions] = {}
"""By the address of the bucket: what it does is asked once in a process."""


class S3Writing(ABC):
    """The half of the adapter that puts files; `Uploads` and `OneStep`."""

    _bucket: Bucket

    @abstractmethod
    async def info(self, path: str) -> Entry:
        """What is there."""

    def _guarantee(self) -> str:
        known = _known.get(self._bucket.address)
        if known is None:
            return _NOT_TRIED
        large = f"For files of more than {ONE_STEP_BYTES >> 30} GiB "
        return large + _TWO_STEPS if known.compares_and_replaces else _TWO_STEPS[0].upper() + _TWO_STEPS[1:]

    async def _conditions(self) -> Conditions:
        address = self._bucket.address
        if address not in _known:
            _known[address] = await probe(self._bucket)
        return _known[address]

    async def takes_in_one_step(self, size: int) -> bool:
        """Up to 1 GiB, if the bucket holds to its conditions."""
        return size <= ONE_STEP_BYTES and (await self._conditions()).compares_and_replaces

    async def put(self, path: str, source: Path, *, base: str | None, sent: Sent) -> Entry:
        """A PUT with condition and MD5; before it a look that no folder has the name, after it one at what is there."""
        key, conditions = self._bucket.key(path), await self._conditions()
        size, digest = await asyncio.to_thread(_measured, source)
        if (await self._bucket.page(f"{key}/", limit=1)).keys:
            raise changed(path)
        for tried in itertools.count():
            headers = {**conditions.headers(base), **_headers(size, digest)}
            fine = {*_PUT, 412, 404} if base is not None else {*_PUT, 412}
            async with self._bucket.ask(
                "PUT", path, key, headers=headers, body=lambda: _pieces(source, sent), fine=fine
            ) as answer:
                etag = answer.headers.get("ETag", "") if answer.status in _PUT else ""
            there = await self._bucket.head(path, key)
            if etag:
                arrived = there is not None and same_version(there.token, quoted(etag)) and there.size == size
                if arrived and there is not None:
                    return there
                raise changed(path)  # somebody replaced it within the moment
            if base is not None and there is None:
                base = None  # removed meanwhile: nothing of anybody's is overwritten
            elif base is None or there is None or not same_version(there.token, base):
                raise changed(path)
            elif tried < _TRIES:  # whoever wins a race may not be seen yet
                await asyncio.sleep(_PAUSE * 2**tried)
            else:
                _known.pop(self._bucket.address, None)  # it was asked otherwise: versions may be kept by now
                raise AnsweredBadly("The archive refuses what it said itself.", next_step="It is tried again.")
        raise AssertionError

    async def upload(self, path: str, source: Path, upload_id: str, sent: Sent) -> str:
        """Under a hidden name in the same folder, which must be there; large ones in parts."""
        hidden, (folder, _, _) = hidden_path(path, upload_id), path.rpartition("/")
        if folder and not (await self._bucket.page(f"{self._bucket.key(folder)}/", limit=1)).keys:
            raise FileNotThere(f"The folder of {path} is not in the archive.", next_step="Make the folder first.")
        size = source.stat().st_size  # noqa: ASYNC240  (one stat of a local file)
        parts = Parts(self._bucket, self._bucket.key(hidden))
        if parts.needed_for(size):
            await parts.send(source, size, sent)
            return hidden
        size, digest = await asyncio.to_thread(_measured, source)
        async with self._bucket.ask(
            "PUT",
            hidden,
            self._bucket.key(hidden),
            headers=_headers(size, digest),
            body=lambda: _pieces(source, sent),
            fine=_PUT,
        ):
            return hidden

    async def publish(self, path: str, upload_id: str, *, base: str | None) -> Entry:
        """Look at the version there, have the archive copy, look at what is there now, remove the hidden one."""
        hidden, key = hidden_path(path, upload_id), self._bucket.key(path)
        upload = await self._bucket.head(hidden, self._bucket.key(hidden))
        if upload is None:
            raise AnsweredBadly("The upload is not in the archive any more.", next_step="It is sent again by itself.")
        await self._check_base(path, base)
        await Parts(self._bucket, key).copy(self._bucket.key(hidden), upload)
        there = await self._bucket.head(path, key)
        if there is None or there.size != upload.size:
            raise changed(path)
        await self.discard(path, upload_id)
        return there

    async def discard(self, path: str, upload_id: str) -> None:
        """Remove the hidden name, and parts on their way to it."""
        hidden = hidden_path(path, upload_id)
        await Parts(self._bucket, self._bucket.key(hidden)).abort()
        async with self._bucket.ask("DELETE", hidden, self._bucket.key(hidden), fine={200, 204, 404}):
            pass

    async def _check_base(self, path: str, base: str | None) -> None:
        try:
            now = await self.info(path)
        except FileNotThere:
            return
        if base is None or now.is_folder or not same_version(now.token, base):
            raise changed(path)


def _headers(size: int, digest: bytes) -> dict[str, str]:
    return {"Content-Length": str(size), "Content-Type": "application/octet-stream", **md5_header(digest)}


def _measured(source: Path) -> tuple[int, bytes]:
    """Size and MD5."""
    with source.open("rb") as file:
        digest = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).digest()
        return file.tell(), digest


async def _pieces(source: Path, sent: Sent) -> AsyncIterator[bytes]:
    """The file; what is said to be sent is never less than what may have arrived."""
    position = 0
    with source.open("rb") as file:
        while piece := await asyncio.to_thread(file.read, _PIECE):
            position += len(piece)
            sent(position)
            yield piece
    if not position:
        sent(0)
