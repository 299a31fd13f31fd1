"""A folder of this computer as an archive: the simplest adapter, and the one tests compare others with."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import unquote, urlsplit

from jupyter_alc.core.errors import (
    ArchiveUnreachable,
    BadInput,
    Denied,
    Exists,
    FileNotThere,
    NotEmpty,
    NotFolder,
    ReadOnly,
    VersionChanged,
)
from jupyter_alc.dms.adapters.interface import HIDDEN, Capabilities, Sent, hidden_path
from jupyter_alc.dms.adapters.local_scan import Scan
from jupyter_alc.dms.adapters.statuses import archive_is_full
from jupyter_alc.dms.entry import Entry
from jupyter_alc.dms.tokens import same_version, unsettled

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine, Iterator, Mapping

T = TypeVar("T")
_STEP_SECONDS: Final = 0.05
_GUARANTEE: Final = (
    "A folder compares and replaces in two steps: two writers within the same moment may overwrite each other."
)


class LocalAdapter:
    """The folder that `url` names: `file:///a/folder` or `/a/folder`. Links that lead out of it are not followed."""

    def __init__(self, url: str, _credentials: Mapping[str, str]) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"", "file"} or not parts.path.startswith("/"):
            raise BadInput(f"{url!r} is not a folder.", next_step="Write file:///a/folder.", field="url")
        self._top = Path(unquote(parts.path))

    @property
    def capabilities(self) -> Capabilities:
        """All of it, but for compare-and-replace in one step."""
        return Capabilities(guarantee=_GUARANTEE)

    async def close(self) -> None:
        """Nothing is held."""

    async def info(self, path: str) -> Entry:
        """One stat."""
        return await asyncio.to_thread(self._info, path)

    async def listing(self, path: str) -> list[Entry]:
        """One scan."""
        return [one async for page in self.listing_pages(path) for one in page]

    async def listing_pages(self, path: str) -> AsyncIterator[list[Entry]]:
        """The same scan, 1,000 names at a time, in the order of the disk."""
        scan = Scan(self._at(path))
        try:
            while page := await asyncio.to_thread(self._more, path, scan):
                yield page
        finally:
            asyncio.get_running_loop().run_in_executor(None, scan.close)

    async def read_range(self, path: str, start: int, stop: int, if_token: str) -> bytes:
        """Read, and look at the version through the same descriptor before and after."""
        return await asyncio.to_thread(self._read, path, start, stop, if_token)

    async def upload(self, path: str, source: Path, upload_id: str, sent: Sent) -> str:
        """Copy to a hidden name and make it durable."""
        hidden = hidden_path(path, upload_id)
        size = await _to_its_end(asyncio.to_thread(self._copy_in, hidden, source))
        sent(size)
        return hidden

    async def publish(self, path: str, upload_id: str, *, base: str | None) -> Entry:
        """Link where there must be nothing, else check and replace."""
        return await _to_its_end(asyncio.to_thread(self._publish, path, upload_id, base))

    async def discard(self, path: str, upload_id: str) -> None:
        """Remove the hidden name."""
        with _ours(path):
            await asyncio.to_thread(self._at(hidden_path(path, upload_id)).unlink, missing_ok=True)

    async def mkdir(self, path: str) -> None:
        """Make one folder."""
        with _ours(path):
            await asyncio.to_thread(self._at(path).mkdir)

    async def delete(self, path: str, *, folder: bool) -> None:
        """Unlink or rmdir."""
        at = self._at(path)
        with _ours(path):
            await asyncio.to_thread(_rmdir if folder else Path.unlink, at)

    async def move(self, old: str, new: str, *, replace: bool) -> None:
        """Rename."""
        if not replace and os.path.lexists(self._at(new)):  # noqa: ASYNC240  (one stat of a local file)
            raise Exists(f"{new} is there already.", next_step="Choose another name.")
        with _ours(old):
            await asyncio.to_thread(os.replace, self._at(old), self._at(new))

    def _at(self, path: str) -> Path:
        at = self._top / path
        if ".." in at.parts or (not at.parent.resolve().is_relative_to(self._top.resolve()) and path):
            raise FileNotThere(f"{path} is not in the archive.", next_step="List its folder to see what is.")
        return at

    def _info(self, path: str) -> Entry:
        with _ours(path):
            return _entry(path.rpartition("/")[2], self._at(path).lstat())

    @staticmethod
    def _more(path: str, scan: Scan) -> list[Entry]:
        with _ours(path):
            return [_entry(name, seen) for name, seen in scan.more()]

    def _read(self, path: str, start: int, stop: int, if_token: str) -> bytes:
        with _ours(path), os.fdopen(os.open(self._at(path), os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
            self._check(path, file.fileno(), if_token)
            got = os.pread(file.fileno(), stop - start, start)
            self._check(path, file.fileno(), if_token)
        if len(got) != stop - start:
            raise ArchiveUnreachable(f"{path} broke off in the middle.", next_step="Try again.")
        return got

    @staticmethod
    def _check(path: str, descriptor: int, if_token: str) -> None:
        if not same_version(_token(os.fstat(descriptor)), if_token):
            raise VersionChanged(f"{path} changed in the archive.", next_step="Open it again to see the new version.")

    def _copy_in(self, hidden: str, source: Path) -> int:
        with _ours(hidden), self._at(hidden).open("wb") as target, source.open("rb") as file:
            shutil.copyfileobj(file, target, 1 << 20)
            target.flush()
            os.fsync(target.fileno())
            return target.tell()

    def _publish(self, path: str, upload_id: str, base: str | None) -> Entry:
        hidden, at = self._at(hidden_path(path, upload_id)), self._at(path)
        with _ours(path):
            if base is None:
                try:
                    os.link(hidden, at)
                except FileExistsError as error:
                    raise VersionChanged(f"{path} is there already.", next_step="Look at both.") from error
                hidden.unlink()
            else:
                if at.exists() and not same_version(_token(at.lstat()), base):
                    raise VersionChanged(f"{path} changed in the archive.", next_step="Look at both.")
                hidden.replace(at)
            return _entry(at.name, at.lstat())


async def _to_its_end(call: Coroutine[Any, Any, T]) -> T:
    """A thread cannot be stopped: who gives up on it still waits until it leaves the disk alone."""
    task = asyncio.ensure_future(call)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        raise


def _rmdir(folder: Path) -> None:
    """Remove a folder that is empty but for uploads that nobody will publish."""
    names = os.listdir(folder)  # noqa: PTH208  (names are all that is wanted)
    for name in names if all(one.startswith(HIDDEN) for one in names) else []:
        (folder / name).unlink()
    folder.rmdir()


def _token(seen: os.stat_result) -> str:
    token = f'"{seen.st_mtime_ns}-{seen.st_size}-{seen.st_ino}"'
    now = time.time()
    return unsettled(token, now) if now - seen.st_mtime < _STEP_SECONDS else token


def _entry(name: str, seen: os.stat_result) -> Entry:
    if os.path.stat.S_ISDIR(seen.st_mode):  # type: ignore[attr-defined]
        return Entry(name, "directory", 0, seen.st_mtime, '"folder"')
    return Entry(name, "file", seen.st_size, seen.st_mtime, _token(seen))


@contextmanager
def _ours(path: str) -> Iterator[None]:
    """Translate the system's errors once."""
    try:
        yield
    except (ArchiveUnreachable, VersionChanged, FileNotThere):
        raise
    except FileNotFoundError as error:
        raise FileNotThere(f"{path} is not in the archive.", next_step="List its folder to see what is.") from error
    except FileExistsError as error:
        raise Exists(f"{path} is there already.", next_step="Use it, or choose another name.") from error
    except NotADirectoryError as error:
        raise NotFolder(f"{path} is a file, or lies in one.", next_step="List its folder.") from error
    except PermissionError as error:
        raise Denied(
            f"The archive does not allow this with {path}.", next_step="Ask its owner for the right to."
        ) from error
    except OSError as error:
        if error.errno in {errno.ENOTEMPTY, errno.EEXIST}:
            raise NotEmpty(f"{path} is not empty.", next_step="Remove what is in it first.") from error
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise archive_is_full() from error
        if error.errno == errno.EROFS:
            raise ReadOnly(f"{path} cannot be changed.", next_step="Write elsewhere.") from error
        raise ArchiveUnreachable(f"The archive could not give {path}.", next_step="Try again.") from error
