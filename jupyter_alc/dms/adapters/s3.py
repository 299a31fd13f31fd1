"""S3 over aiohttp (Ceph first): signed ranged reads bound to their version, listings by pages, folders out of keys."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from jupyter_alc.core.errors import NotFolder
from jupyter_alc.dms.adapters.interface import Capabilities
from jupyter_alc.dms.adapters.ranged import FINE, HEADED, RangedReads
from jupyter_alc.dms.adapters.s3_answers import folder_entry, settled
from jupyter_alc.dms.adapters.s3_bucket import Bucket, absent, not_s3
from jupyter_alc.dms.adapters.s3_folders import S3Folders
from jupyter_alc.dms.adapters.s3_writing import S3Writing
from jupyter_alc.dms.entry import Entry

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from contextlib import AbstractAsyncContextManager

    import aiohttp

    from jupyter_alc.dms.adapters.interface import Take
    from jupyter_alc.dms.adapters.pipes import Judge
    from jupyter_alc.dms.adapters.s3_signing import Renew


class S3Adapter(S3Writing, S3Folders, RangedReads):
    """The keys below one prefix of a bucket, whose address is told at `Bucket`.

    `credentials` and `renew` are those of `s3_signing.Signer`.
    """

    def __init__(self, url: str, credentials: Mapping[str, str], renew: Renew | None = None) -> None:
        self._bucket = Bucket(url, credentials, renew)

    @property
    def capabilities(self) -> Capabilities:
        """Any range, sixteen at once; what it cannot promise is known after the first write."""
        return Capabilities(parallel=16, guarantee=self._guarantee())

    def renew(self, credentials: Mapping[str, str]) -> None:
        """Sign with these from now on."""
        self._bucket.signer.take(credentials)

    async def close(self) -> None:
        """Give back connections."""
        await self._bucket.close()

    async def info(self, path: str) -> Entry:
        """One listing of the keys that begin so: with keys below it is a folder, whatever is at the key itself."""
        name, key = path.rpartition("/")[2], self._bucket.key(path)
        if not path:
            await self._bucket.page(self._bucket.top, limit=1)
            return folder_entry(name)
        told = await self._bucket.at(key)
        if told.folder:
            return folder_entry(name)
        if told.file is None:
            raise absent(path)
        return told.file

    async def approach(self) -> None:
        """Have a connection that the next question finds."""
        await self._bucket.approach()

    async def listing(self, path: str) -> list[Entry]:
        """All pages."""
        return [one async for told in self.listing_pages(path) for one in told]

    async def listing_pages(self, path: str) -> AsyncIterator[list[Entry]]:
        """One request for each thousand names. A file and a folder of one name are the folder."""
        folder = f"{self._bucket.key(path)}/" if path else self._bucket.top
        told, waiting = await self._bucket.page(folder), list[Entry]()
        if path and not told.keys:
            await self._not_a_folder(path)
        while True:
            shown, waiting = settled(waiting, told)
            yield shown
            if not told.more:
                return
            following = await self._bucket.page(folder, more=told.more)
            if following.more == told.more:
                raise not_s3()
            told = following

    def _head(self, path: str, headers: Mapping[str, str]) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        return self._bucket.ask("HEAD", path, self._bucket.key(path), headers=headers, fine=HEADED)

    @asynccontextmanager
    async def _get(self, path: str, headers: Mapping[str, str]) -> AsyncIterator[aiohttp.ClientResponse]:
        async with self._bucket.ask("GET", path, self._bucket.key(path), headers=headers, fine=FINE) as answer:
            yield answer

    async def _piped(self, path: str, headers: Mapping[str, str], judge: Judge, take: Take) -> None:
        await self._bucket.piped(path, self._bucket.key(path), headers, judge, take, fine=FINE)

    async def _not_a_folder(self, path: str) -> None:
        if await self._bucket.head(path, self._bucket.key(path)) is not None:
            raise NotFolder(f"{path} is a file.", next_step="List its folder.")
        raise absent(path)
