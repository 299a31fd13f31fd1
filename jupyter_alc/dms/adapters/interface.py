"""What an archive must do for us, and the few things more that some can.

Paths are relative to the dataset's top, without a leading slash; "" is the top. Every token is quoted like an ETag.
Errors are ours, made in the adapter: `FileNotThere` only when the archive said so, `ArchiveUnreachable` when it
could not be asked. The caller sets deadlines around calls, and closes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from jupyter_alc.core.errors import ArchiveUnreachable

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from jupyter_alc.dms.entry import Entry

HIDDEN = ".alc-upload-"


class AnsweredBadly(ArchiveUnreachable):
    """The archive is there, but failed at this one request; nothing follows for other files."""


Bytes = bytes | bytearray | memoryview
"""Bytes that an adapter read, in whatever it has them; the caller's from then on, so that nobody copies."""
Take = Callable[[int, memoryview], None]
"""Called on any thread with a place in the file and the bytes there, which are the adapter's again when it returns."""
Sent = Callable[[int], None]
"""Called with the bytes of an upload sent so far."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What this archive can: `ranges` is full (any range), tail (from any byte to the end) or none (whole files only).

    `guarantee` says in words what it cannot promise for writes; "" when compare-and-replace is one step.
    `parallel` requests at once are welcome; the characters `forbidden` may not be in new names. Names that begin with
    one of the characters `unlisted` may be there although listings leave them out.
    """

    ranges: str = "full"
    guarantee: str = ""
    parallel: int = 8
    forbidden: str = ""
    unlisted: str = ""


@runtime_checkable
class Adapter(Protocol):
    """The least: look and read."""

    @property
    def capabilities(self) -> Capabilities:
        """What is known by now; it may sharpen with the first answers."""
        ...

    async def info(self, path: str) -> Entry:
        """What `path` is, in one request."""
        ...

    async def listing(self, path: str) -> list[Entry]:
        """Everything in a folder with attributes, uploads on their way left out; never one request per entry."""
        ...

    async def read_range(self, path: str, start: int, stop: int, if_token: str) -> Bytes:
        """Exactly the bytes `start`..`stop` of the version `if_token`; another version there is `VersionChanged`."""
        ...

    async def close(self) -> None:
        """Give back connections."""
        ...


@runtime_checkable
class Fills(Protocol):
    """Hand over a range as it comes."""

    async def fill(self, path: str, start: int, stop: int, if_token: str, take: Take) -> None:
        """As `read_range`, in pieces of whole 64 KiB from `start` on, only the last may be shorter, one at a time.

        What `take` raises ends it. Nothing is taken any more when this has returned, or was cancelled.
        """
        ...


@runtime_checkable
class Streams(Protocol):
    """Read on and on."""

    def open_stream(self, path: str, start: int, if_token: str) -> AsyncIterator[bytes]:
        """The bytes from `start` to the end of the version `if_token`, in pieces as they come; `aclose` hangs up.

        What breaks off is `ArchiveUnreachable`, another version `VersionChanged`, before a wrong byte is handed over.
        """
        ...


@runtime_checkable
class Pages(Protocol):
    """List by pages."""

    def listing_pages(self, path: str) -> AsyncIterator[list[Entry]]:
        """What `listing` tells, page by page as the archive tells it; `FileNotThere` comes before the first."""
        ...


@runtime_checkable
class Checksums(Protocol):
    """Say what the archive knows of a file's bytes."""

    async def checksum(self, path: str, if_token: str) -> str:
        """`algorithm:hex` of the version `if_token` in one request, "" where none is known; never by reading it."""
        ...


@runtime_checkable
class Uploads(Protocol):
    """Put files in two steps, of which only the second is visible."""

    async def upload(self, path: str, source: Path, upload_id: str, sent: Sent) -> str:
        """Bring `source` beside `path` under a hidden name, replacing an earlier try, and return the hidden path."""
        ...

    async def publish(self, path: str, upload_id: str, *, base: str | None) -> Entry:
        """Give the upload its name. `VersionChanged` if the file there is not `base` (None: if there is one)."""
        ...

    async def discard(self, path: str, upload_id: str) -> None:
        """Forget an upload; none there is fine."""
        ...


@runtime_checkable
class OneStep(Protocol):
    """Put files in one step that compares and replaces."""

    async def takes_in_one_step(self, size: int) -> bool:
        """Say whether `put` does for a file of `size` bytes; the archive is asked what it does the first time."""
        ...

    async def put(self, path: str, source: Path, *, base: str | None, sent: Sent) -> Entry:
        """Give `path` the bytes of `source`, whole and checked on arrival, or change nothing.

        `VersionChanged` if the file there is not `base` (None: if there is one).
        """
        ...


@runtime_checkable
class Approaches(Protocol):
    """Be ready before somebody asks."""

    async def approach(self) -> None:
        """Have a connection that the next question finds. Nothing is asked, and what fails is of no interest."""
        ...


@runtime_checkable
class Renewable(Protocol):
    """Take other credentials while it works."""

    def renew(self, credentials: Mapping[str, str]) -> None:
        """Ask with these from now on."""
        ...


@runtime_checkable
class Folders(Protocol):
    """Change names."""

    async def mkdir(self, path: str) -> None:
        """Make one folder; its parent must be there (`FileNotThere`), itself not (`Exists`)."""
        ...

    async def delete(self, path: str, *, folder: bool) -> None:
        """Remove one file, or one folder that is empty (`NotEmpty`)."""
        ...

    async def move(self, old: str, new: str, *, replace: bool) -> None:
        """Rename a file or folder; without `replace`, a `new` that is there is `Exists`."""
        ...


def hidden_path(path: str, upload_id: str) -> str:
    """Where an upload for `path` lies until it is published."""
    folder, slash, _ = path.rpartition("/")
    return f"{folder}{slash}{HIDDEN}{upload_id}"
