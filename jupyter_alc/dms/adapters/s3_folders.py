"""Folders out of keys: markers that make and keep them, and renames that copy first and remove last (W18)."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Final

from jupyter_alc.core.errors import Denied, Exists, FileNotThere, IsFolder, NotEmpty, NotFolder
from jupyter_alc.dms.adapters.interface import HIDDEN
from jupyter_alc.dms.adapters.s3_bucket import Bucket, absent
from jupyter_alc.dms.adapters.s3_parts import Parts

if TYPE_CHECKING:
    from collections.abc import Iterable

    from jupyter_alc.dms.entry import Entry

MOST_RENAMED: Final = 1000
"""Names that a rename of a folder copies and removes one by one, while somebody waits."""
_AT_ONCE: Final = 8


class S3Folders(ABC):
    """The half of the adapter that changes names; `Folders`."""

    _bucket: Bucket

    @abstractmethod
    async def info(self, path: str) -> Entry:
        """What is there."""

    async def mkdir(self, path: str) -> None:
        """PUT the marker."""
        await self._must_be_folder(path.rpartition("/")[0])
        await self._must_be_absent(path)
        await self._mark(path)

    async def delete(self, path: str, *, folder: bool) -> None:
        """DELETE what is seen to be there: S3 itself does not say that nothing was."""
        entry = await self.info(path)
        if folder:
            await self._delete_folder(path, entry)
            return
        if entry.is_folder:
            raise IsFolder(f"{path} is a folder.", next_step="Remove it as a folder.")
        await self._keep_folder_of(path)
        async with self._bucket.ask("DELETE", path, self._bucket.key(path), fine={200, 204}):
            pass

    async def move(self, old: str, new: str, *, replace: bool) -> None:
        """Copy in the archive, then remove."""
        entry = await self.info(old)
        await self._must_be_folder(new.rpartition("/")[0])
        if not replace or entry.is_folder:
            await self._must_be_absent(new)
        elif await self._is_folder(new):
            raise IsFolder(f"{new} is a folder.", next_step="Choose another name.")
        if entry.is_folder:
            await self._move_folder(old, new)
            return
        source = self._bucket.key(old)
        there = await self._bucket.head(old, source)
        if there is None:
            raise absent(old)
        await Parts(self._bucket, self._bucket.key(new)).copy(source, there)
        await self._keep_folder_of(old)
        async with self._bucket.ask("DELETE", old, source, fine={200, 204}):
            pass

    async def _move_folder(self, old: str, new: str) -> None:
        source, target = f"{self._bucket.key(old)}/", f"{self._bucket.key(new)}/"
        if target.startswith(source):
            raise Denied(f"{old} cannot go into itself.", next_step="Choose another folder.")
        found = await self._bucket.below(source, MOST_RENAMED)
        if found is None:
            raise Denied(
                f"{old} holds more than {MOST_RENAMED} names, which S3 would rename one by one.",
                next_step="Make the new folder and rename what is in it, part by part.",
            )
        copied, slots = list[str](), asyncio.Semaphore(_AT_ONCE)

        async def one(key: str, entry: Entry) -> None:
            async with slots:
                name = target + key.removeprefix(source)
                copied.append(name)
                await Parts(self._bucket, name).copy(key, entry)

        tasks = [asyncio.ensure_future(one(key, entry)) for key, entry in found.items()]
        try:
            await asyncio.gather(*tasks)
        except BaseException:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._remove(new, copied)  # the new name was not there: all below it is ours
            raise
        await self._keep_folder_of(old)
        await self._remove(old, found)

    async def _delete_folder(self, path: str, entry: Entry) -> None:
        if not entry.is_folder:
            raise NotFolder(f"{path} is a file.", next_step="Remove it as a file.")
        folder = f"{self._bucket.key(path)}/"
        found = await self._bucket.below(folder, MOST_RENAMED)
        if found is None or any(key != folder and not key.startswith(f"{folder}{HIDDEN}") for key in found):
            raise NotEmpty(f"{path} is not empty.", next_step="Remove what is in it first.")
        if folder in found and found[folder].size:
            raise NotEmpty(
                f"What stands for the folder {path} in the archive holds bytes, which no folder shows.",
                next_step=f"Ask the archive's owner whether the object {folder} may go.",
            )
        await self._keep_folder_of(path)
        await self._remove(path, found)

    async def _keep_folder_of(self, path: str) -> None:
        """Give the folder of `path` a marker if it would go together with it."""
        folder = path.rpartition("/")[0]
        if not folder:
            return
        key = f"{self._bucket.key(folder)}/"
        told = await self._bucket.page(key, limit=3)
        if not told.marked and all(one.name == path.rpartition("/")[2] for one in told.entries):
            await self._mark(folder)

    async def _mark(self, path: str) -> None:
        headers = {"Content-Length": "0", "Content-Type": "application/x-directory"}
        async with self._bucket.ask("PUT", path, f"{self._bucket.key(path)}/", headers=headers, fine={200, 201, 204}):
            pass

    async def _remove(self, path: str, keys: Iterable[str]) -> None:
        """Remove these keys, some at once; those that S3 removes by one request, Ceph 16 keeps from scoped sessions."""

        async def one(key: str) -> None:
            async with slots, self._bucket.ask("DELETE", path, key, fine={200, 204}):
                pass

        slots = asyncio.Semaphore(_AT_ONCE)
        await asyncio.gather(*(one(key) for key in keys))

    async def _is_folder(self, path: str) -> bool:
        try:
            return (await self.info(path)).is_folder
        except FileNotThere:
            return False

    async def _must_be_folder(self, path: str) -> None:
        if path and not (await self.info(path)).is_folder:
            raise NotFolder(f"{path} is a file.", next_step="Choose a folder.")

    async def _must_be_absent(self, path: str) -> None:
        try:
            await self.info(path)
        except FileNotThere:
            return
        raise Exists(f"{path} is there already.", next_step="Use it, or choose another name.")
