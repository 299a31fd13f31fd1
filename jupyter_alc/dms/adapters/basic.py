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
from jupyter_alc.dms.adapters.interface import HIDDEN, Capabilities
from jupyter_alc.dms.entry import Entry
from jupyter_alc.dms.tokens import same_version

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_VERSION_KEYS = (
    "ETag",
    "etag",
    "version_id",
    "generation",
    "LastModified",
    "last_modified",
    "mtime",
    "created",
    "modified",
)


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
        return _entry(path.rpartition("/")[2], await self._call(path, self._files.info, self._at(path)))

    async def listing(self, path: str) -> list[Entry]:
        """What fsspec's `ls` tells; one call."""
        told = await self._call(path, lambda: self._files.ls(self._at(path), detail=True, refresh=True))
        named = [(str(one["name"]).rstrip("/").rpartition("/")[2], one) for one in told]
        return [_entry(name, one) for name, one in named if name and not name.startswith(HIDDEN)]

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
        return f"{self._top.rstrip('/')}/{path}" if path else str(self._top)

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


def _entry(name: str, told: Mapping[str, Any]) -> Entry:
    if told.get("type") == "directory":
        return Entry(name, "directory", 0, 0.0, '"folder"')
    size = int(told.get("size") or 0)
    version = [f"{key}={told[key]}" for key in _VERSION_KEYS if told.get(key)]
    digest = hashlib.sha256("\n".join([*version, str(size)]).encode()).hexdigest()[:32]
    return Entry(name, "file", size, _mtime(told), f'"{digest}"')


def _mtime(told: Mapping[str, Any]) -> float:
    when = told.get("mtime") or told.get("LastModified") or told.get("last_modified") or told.get("created")
    if isinstance(when, datetime):
        return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()
    return float(when) if isinstance(when, int | float) else 0.0
