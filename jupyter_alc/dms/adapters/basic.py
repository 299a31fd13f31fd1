"""Any fsspec file system as an archive, at the basic level: reads by range, tokens from its details, no writing."""

from __future__ import annotations

import asyncio
import hashlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import fsspec

from jupyter_alc.core.errors import (
    AlcError,
    ArchiveUnreachable,
    BadInput,
    Denied,
    FileNotThere,
    Missing,
    VersionChanged,
)
from jupyter_alc.dms.adapters.interface import HIDDEN, AnsweredBadly, Capabilities
from jupyter_alc.dms.entry import Entry
from jupyter_alc.dms.tokens import same_version

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_VERSIONS = ("ETag", "etag", "version_id", "generation")
"""What names a version, the first that a file system tells; else all the times it tells do."""
_AT_ONCE = 8
_TIMES = ("LastModified", "last_modified", "mtime", "created", "modified", "updated", "date_time")


class BasicAdapter:
    """What `fsspec.url_to_fs(url, **credentials)` opens. The version is checked before and after each read."""

    def __init__(self, url: str, credentials: Mapping[str, str]) -> None:
        try:
            self._files, self._top = fsspec.url_to_fs(url, skip_instance_cache=True, **credentials)
        except ImportError as error:
            raise Missing(f"fsspec lacks a package for {url}.", next_step="Install the one it names.") from error
        except (ValueError, TypeError) as error:
            raise BadInput(f"fsspec cannot open {url}.", next_step="Check url and credentials.", field="url") from error

    @property
    def capabilities(self) -> Capabilities:
        """Ranges, and nothing that changes."""
        return Capabilities()

    async def close(self) -> None:
        """Let the file system go."""

    async def info(self, path: str) -> Entry:
        """What fsspec's `info` tells."""
        return _entry(path, await self._call(path, self._files.info, self._at(path)))

    async def listing(self, path: str) -> list[Entry]:
        """What fsspec's `ls` tells; one call, and one more for each file whose size it leaves out."""
        told = await self._call(path, lambda: self._files.ls(self._at(path), detail=True, refresh=True))
        named = [(str(one["name"]).rstrip("/").rpartition("/")[2], one) for one in told]
        shown = [
            (f"{path}/{name}" if path else name, one) for name, one in named if name and not name.startswith(HIDDEN)
        ]
        entries = [_entry(inside, one) for inside, one in shown if not _lacks_size(one)]
        asked = [inside for inside, one in shown if _lacks_size(one)]
        for at in range(0, len(asked), _AT_ONCE):
            found = await asyncio.gather(*(self._if_there(inside) for inside in asked[at : at + _AT_ONCE]))
            entries += [one for one in found if one is not None]
        return entries

    async def _if_there(self, path: str) -> Entry | None:
        """None for a file that was removed since its folder was listed."""
        try:
            return await self.info(path)
        except FileNotThere:
            return None

    async def read_range(self, path: str, start: int, stop: int, if_token: str) -> bytes:
        """Look, read, look again: the basic level has no condition to send along."""
        await self._check(path, if_token)
        got = await self._call(path, lambda: self._files.cat_file(self._at(path), start=start, end=stop))
        await self._check(path, if_token)
        if len(got) != stop - start:
            raise ArchiveUnreachable(f"{path} broke off in the middle.", next_step="Try again.")
        return bytes(got)

    async def _check(self, path: str, if_token: str) -> None:
        if not same_version((await self.info(path)).token, if_token):
            raise VersionChanged(f"{path} changed in the archive.", next_step="Open it again to see the new version.")

    def _at(self, path: str) -> str:
        if ".." in path.split("/"):
            raise FileNotThere(f"{path} cannot be in the archive.", next_step="List its folder to see what is.")
        top = str(self._top)
        return f"{top.rstrip('/')}/{path}" if path and top else path or top

    async def _call(self, path: str, ask: Callable[..., Any], *given: Any) -> Any:
        try:
            return await asyncio.to_thread(ask, *given)
        except FileNotFoundError as error:
            raise FileNotThere(f"{path} is not in the archive.", next_step="List its folder to see what is.") from error
        except PermissionError as error:
            raise Denied(f"The archive does not allow this with {path}.", next_step="Check the credentials.") from error
        except AlcError:
            raise
        except Exception as error:  # fsspec's file systems raise whatever their libraries do
            raise ArchiveUnreachable("The archive does not answer.", next_step="Try again.") from error


def _lacks_size(told: Mapping[str, Any]) -> bool:
    return told.get("type") != "directory" and told.get("size") is None


def _entry(path: str, told: Mapping[str, Any]) -> Entry:
    name = path.rpartition("/")[2]
    if told.get("type") == "directory":
        return Entry(name, "directory", 0, 0.0, '"folder"')
    if _lacks_size(told):
        raise AnsweredBadly(f"The archive does not tell the size of {path}.", next_step="Try again.")
    size = int(told["size"])
    named = next((str(told[key]).strip('"') for key in _VERSIONS if told.get(key)), None)
    version = [named] if named else [f"{key}={_seconds(told[key])}" for key in _TIMES if told.get(key)]
    digest = hashlib.sha256("\n".join([*version, str(size)]).encode()).hexdigest()[:32]
    return Entry(name, "file", size, _mtime(told), f'"{digest}"')


def _mtime(told: Mapping[str, Any]) -> float:
    when = next((told[key] for key in ("mtime", "LastModified", "last_modified", "created") if told.get(key)), None)
    seconds = _seconds(when)
    return seconds if isinstance(seconds, float) else 0.0


def _seconds(when: Any) -> float | str:
    """A time as seconds since 1970: file systems tell one and the same as a number here and as a date there."""
    if isinstance(when, datetime):
        return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()
    return float(when) if isinstance(when, int | float) else str(when)
