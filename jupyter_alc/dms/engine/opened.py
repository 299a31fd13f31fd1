"""An open file: a version of the archive's, or a staged one; the first change turns the one into the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jupyter_alc.dms.engine.reading import ArchiveFile
    from jupyter_alc.dms.engine.staged import StagedFile


class OpenFile:
    """What `Engine.open` gives. Exactly one of `reader` and `file` is there until it is closed."""

    def __init__(
        self,
        dataset: str,
        inner: str,
        *,
        write: bool,
        reader: ArchiveFile | None = None,
        file: StagedFile | None = None,
    ) -> None:
        self.dataset, self.write = dataset, write
        self._inner = inner
        self.reader, self.file = reader, file
        self.closed = False

    @property
    def inner(self) -> str:
        """The path inside the dataset."""
        return self.file.path if self.file is not None else self._inner

    def moved(self, inner: str) -> None:
        """Follow a rename in the archive."""
        self._inner = inner
        if self.reader is not None:
            self.reader.path = inner

    @property
    def path(self) -> str:
        """Where it is now."""
        return f"{self.dataset}/{self.inner}"

    @property
    def size(self) -> int:
        """Its size in bytes now."""
        if self.file is not None:
            return self.file.size
        return self.reader.entry.size if self.reader is not None else 0

    @property
    def token(self) -> str:
        """The version that reads see."""
        if self.file is not None:
            return self.file.token
        return self.reader.entry.token if self.reader is not None else ""

    @property
    def staged(self) -> bool:
        """Whether it reads local, unsent data."""
        return self.file is not None

    def cached(self, start: int, stop: int) -> bytes | None:
        """The bytes if they are here; any thread."""
        file, reader = self.file, self.reader
        if file is not None:
            return file.read(start, stop)
        return reader.cached(start, stop) if reader is not None else None

    def ahead(self, start: int, stop: int) -> bytes | None:
        """The archive's bytes if they are here, for a reader who has not asked yet; any thread."""
        reader = self.reader
        return reader.ahead(start, stop) if reader is not None else None

    def passed(self, start: int, stop: int) -> None:
        """A reader has got these bytes, given `ahead`; any thread."""
        reader = self.reader
        if reader is not None:
            reader.passed(start, stop)

    async def read(self, start: int, stop: int) -> bytes:
        """The bytes, from wherever they must come."""
        if self.file is not None:
            return self.file.read(start, stop)
        assert self.reader is not None
        return await self.reader.read(start, stop)
