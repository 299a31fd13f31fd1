"""A ZIP file as a dataset: `adapter: zip`, `url: zip:///a/file.zip`."""

from __future__ import annotations

import asyncio
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from urllib.parse import unquote, urlsplit

from jupyter_alc.core.errors import ArchiveUnreachable, BadInput, FileNotThere, NotFolder, VersionChanged
from jupyter_alc.dms.adapters.interface import Capabilities
from jupyter_alc.dms.entry import Entry
from jupyter_alc.dms.tokens import same_version


class ZipAdapter:
    """Reads; since it claims neither `Uploads` nor `Folders`, its datasets are read-only."""

    def __init__(self, url: str, _credentials: Mapping[str, str]) -> None:
        parts = urlsplit(url)
        if parts.scheme != "zip" or not parts.path.endswith(".zip"):
            raise BadInput(f"{url!r} is not a ZIP file.", next_step="Write zip:///a/file.zip.", field="url")
        self._file = unquote(parts.path)

    @property
    def capabilities(self) -> Capabilities:
        """Any range. Two requests at once are enough for one disk."""
        return Capabilities(parallel=2)

    async def close(self) -> None:
        """Nothing is held between two calls."""

    async def info(self, path: str) -> Entry:
        """The entry of the folder's listing, so that both tell the same."""
        if not path:
            return _folder("")
        folder, _, name = path.rpartition("/")
        for one in await asyncio.to_thread(self._list, folder):
            if one.name == name:
                return one
        raise _absent(path)

    async def listing(self, path: str) -> list[Entry]:
        """One look into the table of contents."""
        found = await asyncio.to_thread(self._list, path)
        if path and not found:
            if not (await self.info(path)).is_folder:
                raise NotFolder(f"{path} is a file.", next_step="List its folder.")
            raise _absent(path)
        return found

    async def read_range(self, path: str, start: int, stop: int, if_token: str) -> bytes:
        """Compare the version and read, in one opening of the file."""
        return await asyncio.to_thread(self._read, path, start, stop, if_token)

    def _read(self, path: str, start: int, stop: int, if_token: str) -> bytes:
        with self._opened() as archive:
            try:
                member = archive.getinfo(path)
            except KeyError:
                raise _absent(path) from None
            if not same_version(_token(member), if_token):
                raise VersionChanged(f"{path} changed in the archive.", next_step="Open it again.")
            with archive.open(member) as file:
                file.seek(start)
                got = file.read(stop - start)
        if len(got) != stop - start:
            raise ArchiveUnreachable(f"{path} broke off in the middle.", next_step="Try again.")
        return got

    def _list(self, path: str) -> list[Entry]:
        top, found = (f"{path}/" if path else ""), dict[str, Entry]()
        with self._opened() as archive:
            for member in archive.infolist():
                name, below, _ = member.filename.removeprefix(top).partition("/")
                if member.filename.startswith(top) and name:
                    found[name] = _folder(name) if below else _entry(name, member)
        return list(found.values())

    @contextmanager
    def _opened(self) -> Iterator[zipfile.ZipFile]:
        """Only what the table of contents lacks is "not there"; a ZIP file that cannot be read says nothing of that."""
        try:
            with zipfile.ZipFile(self._file) as archive:
                yield archive
        except (FileNotThere, VersionChanged, ArchiveUnreachable):
            raise
        except (OSError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
            raise ArchiveUnreachable("The ZIP file cannot be read.", next_step="Try again.") from error


def _entry(name: str, member: zipfile.ZipInfo) -> Entry:
    mtime = datetime(*member.date_time, tzinfo=UTC).timestamp()
    return Entry(name, "file", member.file_size, mtime, _token(member))


def _token(member: zipfile.ZipInfo) -> str:
    """Other bytes, another token: quoted, like an ETag."""
    return f'"{member.CRC:08x}-{member.file_size}"'


def _folder(name: str) -> Entry:
    return Entry(name, "directory", 0, 0.0, '"folder"')


def _absent(path: str) -> FileNotThere:
    return FileNotThere(f"{path} is not in the archive.", next_step="List its folder to see what is.")
