"""Any fsspec file system as an archive, at the basic level: reads by range, tokens from its details, no writing."""

from __future__ import annotations

import asyncio
import hashlib
import threading
import zlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from contextvars import copy_context
from datetime import UTC, datetime
from tarfile import TarError
from typing import TYPE_CHECKING, Any, Final, TypeVar
from zipfile import BadZipFile

import aiohttp
import fsspec
from fsspec.archive import AbstractArchiveFileSystem
from fsspec.core import split_protocol

from jupyter_alc.core.errors import (
    AlcError,
    ArchiveUnreachable,
    BadInput,
    Denied,
    FileNotThere,
    Missing,
    NotFolder,
    VersionChanged,
)
from jupyter_alc.dms.adapters.basic_http import WEB, bound
from jupyter_alc.dms.adapters.basic_s3 import is_s3, read_object, watch
from jupyter_alc.dms.adapters.interface import AnsweredBadly, Capabilities
from jupyter_alc.dms.adapters.pipes import broke_off
from jupyter_alc.dms.adapters.s3_answers import can_be_name, is_name, quoted
from jupyter_alc.dms.adapters.s3_bucket import absent
from jupyter_alc.dms.adapters.versions import changed
from jupyter_alc.dms.addresses import without_secrets
from jupyter_alc.dms.entry import Entry
from jupyter_alc.dms.tokens import same_version

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager

T = TypeVar("T")
_VERSIONS: Final = ("etag", "version_id", "generation", "sha", "unique", "CRC")
"""What names a version, the first that a file system tells; else all the times it tells do."""
_AT_ONCE: Final = 8
_TIMES: Final = (
    "LastModified",
    "Last-Modified",
    "last_modified",
    "mtime",
    "created",
    "modified",
    "modify",
    "modificationTime",
    "updated",
    "date_time",
)
_CACHES: Final = frozenset({"simplecache", "filecache", "blockcache", "cached"})
_WEB: Final = WEB | {"sync-http", "sync-https"}
_DAMAGES: Final = (BadZipFile, TarError, zlib.error, RuntimeError)  # the last: a member that is encrypted
_ANSWERS: Final = (FileNotFoundError, NotADirectoryError, PermissionError, VersionChanged, NotFolder, Denied)
"""What a file system says that is well."""


class BasicAdapter:
    """What `fsspec.url_to_fs(url, **credentials)` opens, at the first question.

    The version is checked before and after each read; S3's answers tell it themselves. What failed is opened anew.
    """

    def __init__(self, url: str, credentials: Mapping[str, str]) -> None:
        self._url, self._words = url, dict(credentials)
        self._serial = _must_be_openable(url)
        self._opened: _Opened | None = None
        self._opening = threading.Lock()
        # threads of its own, more than are asked at once: some may hang, and hold up nobody else
        self._threads = ThreadPoolExecutor(4 * _AT_ONCE, thread_name_prefix="fsspec")

    @property
    def capabilities(self) -> Capabilities:
        """Ranges, and nothing that changes; of an archive file one after the other."""
        return Capabilities(parallel=1 if self._serial else _AT_ONCE)

    async def close(self) -> None:
        """Let the file system go."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def info(self, path: str) -> Entry:
        """What fsspec's `info` tells."""
        opened, told = await self._call(path, lambda opened, at: (opened, opened.files.info(at)))
        if not _is_plain(told):
            raise absent(path)
        return _entry(path, told, opened.version)

    async def listing(self, path: str) -> list[Entry]:
        """What fsspec's `ls` tells; one call, and one more for each name of which it does not tell all."""
        opened, shown = await self._call(path, lambda opened, at: (opened, dict(_shown(opened.files, at, path))))
        entries = [_entry(inside, one, opened.version) for inside, one in shown.items() if _tells_all(one)]
        asked = [inside for inside, one in shown.items() if not _tells_all(one)]
        for at in range(0, len(asked), _AT_ONCE):
            found = await asyncio.gather(*(self._if_there(inside) for inside in asked[at : at + _AT_ONCE]))
            entries += [one for one in found if one is not None]
        return entries

    async def _if_there(self, path: str) -> Entry | None:
        """None for a name that was removed since its folder was listed."""
        try:
            return await self.info(path)
        except FileNotThere:
            return None

    async def read_range(self, path: str, start: int, stop: int, if_token: str) -> bytes:
        """Look, read, look again, where the file system takes no condition and shows no answer's head."""
        if start >= stop:
            return b""

        def read(opened: _Opened, at: str) -> bytes:
            if is_s3(opened.files):
                got = read_object(opened.files, at, path, start, stop, if_token=if_token)
            else:
                _must_be(opened, at, path, if_token)
                got = bytes(opened.files.cat_file(at, start=start, end=stop))
                _must_be(opened, at, path, if_token)
            if len(got) != stop - start:
                raise broke_off()
            return got

        return await self._call(path, read)

    async def _call(self, path: str, ask: Callable[[_Opened, str], T]) -> T:
        """Ask on a thread, with the file system and what it calls `path`."""
        if path and not all(can_be_name(part) for part in path.split("/")):
            raise absent(path)

        def asked() -> T:
            opened = self._open()
            try:
                with opened.turn:
                    opened.files.invalidate_cache()  # what it listed before is no answer; the engine keeps all
                    told = ask(opened, opened.at(path))
            except _ANSWERS:
                raise
            except Exception:  # its connection may be dead, or what it keeps of a file damaged
                self._forget(opened)
                raise
            if opened.is_replaced():
                raise changed(path)
            return told

        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, copy_context().run, asked)
        except AlcError:
            raise
        except FileNotFoundError as error:
            if not _is_said(error):
                raise _no_answer() from error
            raise absent(path) from error
        except NotADirectoryError as error:
            raise _no_folder(path) from error
        except PermissionError as error:
            raise Denied(f"The archive does not allow this with {path}.", next_step="Check the credentials.") from error
        except _DAMAGES as error:
            told = f"{path or 'The archive file'} is damaged, or was on its way."
            raise AnsweredBadly(told, next_step="Try again; if it stays so, tell its owner.") from error
        except Exception as error:  # fsspec's file systems raise whatever their libraries do
            raise _no_answer() from error

    def _open(self) -> _Opened:
        """What there is now: an archive file that was replaced is opened anew. What fails is tried again."""
        before = self._opened
        if before is not None:
            try:
                if not before.is_replaced():
                    return before
            except Exception:
                self._forget(before)
                raise
        with self._opening:
            if self._opened is None or self._opened is before:
                self._opened = self._made()
            return self._opened

    def _forget(self, opened: _Opened) -> None:
        """Open anew at the next question; s3fs mends its connections itself."""
        with self._opening:
            if self._opened is opened and not is_s3(opened.files):
                self._opened = None

    def _made(self) -> _Opened:
        """Some connect here, or read a whole table of contents."""
        behind, options = self._url.partition("::")[2], dict[str, Any](self._words)
        try:
            if (protocol := split_protocol(behind)[0]) in WEB and "::" not in behind:
                web, at = fsspec.url_to_fs(behind, skip_instance_cache=True)
                options[protocol] = bound(web.info(at))
            files, top = fsspec.url_to_fs(self._url, skip_instance_cache=True, **options)
        except ImportError as error:
            raise _lacks(self._url) from error
        except FileNotFoundError as error:  # of the archive, not of what was asked
            raise _no_answer() from error
        except (ValueError, TypeError) as error:
            if behind and isinstance(error, ValueError):  # of what came from there
                raise _no_answer() from error
            raise _no_address(self._url) from error
        return _Opened(files, str(top), behind)


class _Opened:
    """A file system, its top, and for one that is made of a file `behind` it, which version of that file it has."""

    def __init__(self, files: Any, top: str, behind: str) -> None:
        self.files, self._top = files, top
        self.turn: AbstractContextManager[object] = nullcontext()
        self.version = ""
        self._file: tuple[Any, str] | None = None
        if (kept := getattr(files, "dircache", None)) is not None and hasattr(kept, "use_listings_cache"):
            kept.use_listings_cache = False
        if is_s3(files):
            watch(files)
        if behind and isinstance(files, AbstractArchiveFileSystem):
            self.turn = threading.Lock()  # they share one place in the file among all who read
            self._file = fsspec.url_to_fs(behind, skip_instance_cache=True)
            self.version = self._version_now()

    def at(self, path: str) -> str:
        """What the file system calls `path`."""
        return f"{self._top.rstrip('/')}/{path}" if path and self._top else path or self._top

    def is_replaced(self) -> bool:
        """Whether it is made of a file that is another one now."""
        return self._file is not None and self._version_now() != self.version

    def _version_now(self) -> str:
        assert self._file is not None
        files, at = self._file
        files.invalidate_cache()
        try:
            return _token(files.info(at))
        except (FileNotFoundError, KeyError, TypeError) as error:  # it tells nothing of what was asked, or no size
            raise _no_answer() from error


def _must_be_openable(url: str) -> bool:
    """Find what the address needs without opening it; whether it is a file that holds others.

    What lists over HTTP is no business of fsspec's, nor what keeps copies: these would be told for what is there now.
    """
    bits = url.split("::")
    protocols = [split_protocol(bit)[0] or (bit if len(bits) > 1 and "/" not in bit else "file") for bit in bits]
    try:
        kinds = [fsspec.get_filesystem_class(protocol) for protocol in protocols]
    except ImportError as error:
        raise _lacks(url) from error
    except (ValueError, TypeError) as error:
        raise _no_address(url) from error
    if kept := _CACHES.intersection(protocols):
        told = f"{without_secrets(url)} keeps copies, which may be old."
        raise BadInput(told, next_step=f"Leave out {min(kept)}:: as DMS has a cache.", field="url")
    listed = next((one for one in protocols if one != "dir"), "")
    if listed in _WEB:  # it takes folders for files, any page for a folder, and whatever goes wrong for an absence
        told = f"fsspec cannot show the folders of {without_secrets(url)}."
        raise BadInput(told, next_step="Write adapter: http.", field="adapter")
    if listed == "ftp":  # it takes whatever goes wrong for an empty folder
        told = f"fsspec cannot tell what is at {without_secrets(url)} and what is not."
        raise BadInput(told, next_step="Ask for the files by HTTP, SFTP or S3.", field="url")
    return issubclass(kinds[0], AbstractArchiveFileSystem)


def _shown(files: Any, at: str, path: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """What lies in a folder by its path, as it is told; a folder hides a file of its name."""
    folder = at.strip("/")
    found: dict[str, Mapping[str, Any]] = {}
    for one in files.ls(at, detail=True):
        told = str(one["name"])
        if told.strip("/") == folder:
            if not told.endswith("/") and one.get("type") != "directory":
                raise _no_folder(path)
            continue  # an object store's marker of the folder itself, or a key with an empty name
        name = told.rstrip("/").rpartition("/")[2]
        if is_name(name) and (name not in found or one.get("type") == "directory"):
            found[name] = one
    return ((f"{path}/{name}" if path else name, one) for name, one in found.items())


def _must_be(opened: _Opened, at: str, path: str, if_token: str) -> None:
    if not same_version(_entry(path, opened.files.info(at), opened.version).token, if_token):
        raise changed(path)


def _is_said(error: FileNotFoundError) -> bool:
    """Whether the archive said so: there are libraries that take any failure for an absence, and name it as cause."""
    cause = error.__cause__
    status = getattr(cause, "status", None)
    if status is not None:
        return status in {404, 410}
    return isinstance(cause, FileNotFoundError) or not isinstance(cause, OSError | aiohttp.ClientError)


def _is_plain(told: Mapping[str, Any]) -> bool:
    """Whether this is a file or a folder, and no link, device or queue."""
    return told.get("type", "file") in {"file", "directory"}


def _tells_all(told: Mapping[str, Any]) -> bool:
    return _is_plain(told) and (told.get("type") == "directory" or told.get("size") is not None)


def _entry(path: str, told: Mapping[str, Any], behind: str) -> Entry:
    name = path.rpartition("/")[2]
    if told.get("type") == "directory":
        return Entry(name, "directory", 0, 0.0, '"folder"')
    if told.get("size") is None:
        raise AnsweredBadly(f"The archive does not tell the size of {path}.", next_step="Try again.")
    return Entry(name, "file", int(told["size"]), _mtime(told), _token(told, behind))


def _token(told: Mapping[str, Any], behind: str = "") -> str:
    """Of the size and what names the version, else of the times and the version of the archive file `behind` it."""
    if told.get("ETag"):
        return quoted(str(told["ETag"]))
    named = next((str(told[key]).strip('"') for key in _VERSIONS if told.get(key)), None)
    version = [named] if named else [f"{key}={_seconds(told[key])}" for key in _TIMES if told.get(key)] + [behind]
    digest = hashlib.sha256("\n".join([*version, str(int(told["size"]))]).encode()).hexdigest()[:32]
    return f'"{digest}"'


def _mtime(told: Mapping[str, Any]) -> float:
    when = next((told[key] for key in ("mtime", "LastModified", "last_modified", "created") if told.get(key)), None)
    seconds = _seconds(when)
    return seconds if isinstance(seconds, float) else 0.0


def _seconds(when: Any) -> float | str:
    """A time as seconds since 1970: file systems tell one and the same as a number here and as a date there."""
    if isinstance(when, datetime):
        return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()
    return float(when) if isinstance(when, int | float) else str(when)


def _no_folder(path: str) -> NotFolder:
    return NotFolder(f"{path} is a file.", next_step="List its folder.")


def _no_answer() -> ArchiveUnreachable:
    return ArchiveUnreachable("The archive does not answer.", next_step="Try again.")


def _lacks(url: str) -> Missing:
    return Missing(f"fsspec lacks a package for {without_secrets(url)}.", next_step="Install the one it names.")


def _no_address(url: str) -> BadInput:
    return BadInput(f"fsspec cannot open {without_secrets(url)}.", next_step="Check url and credentials.", field="url")
