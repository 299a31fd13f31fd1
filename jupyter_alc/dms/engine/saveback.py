"""The way of written files to the archive: never given up, never over somebody else's version."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
from functools import partial
from typing import TYPE_CHECKING, Final

from jupyter_alc.core.errors import (
    AlcError,
    ArchiveUnreachable,
    Denied,
    FileNotThere,
    NoSpace,
    Unavailable,
    VersionChanged,
)
from jupyter_alc.core.names import slug
from jupyter_alc.core.states import FileState
from jupyter_alc.dms.adapters.interface import OneStep

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from jupyter_alc.core.clock import Clock
    from jupyter_alc.dms.adapters.interface import Uploads
    from jupyter_alc.dms.engine.link import Link
    from jupyter_alc.dms.engine.staged import StagedFile
    from jupyter_alc.dms.engine.staging import Staging
    from jupyter_alc.dms.entry import Entry

log = logging.getLogger(__name__)

AT_ONCE: Final = 4
LONGEST_PAUSE_SECONDS: Final = 60.0
SLOWEST_BYTES_PER_SECOND: Final = 256 * 1024
_PIECE: Final = 4 * 1024 * 1024
_S = FileState
_READY: Final = frozenset({_S.STAGED, _S.WAITING, _S.CONFLICT})


class SaveBack:
    """Sends staged files, a few at a time. `confirmed(file, entry)` is called when the archive has one."""

    def __init__(
        self,
        staging: Staging,
        links: Mapping[str, Link],
        clock: Clock,
        *,
        user: str,
        settle_seconds: float,
        confirmed: Callable[[StagedFile, Entry], None],
        changed: Callable[[], None],
        moved: Callable[[str, str, str], None],
        refused: Callable[[StagedFile], None],
    ) -> None:
        self._staging, self._links, self._clock, self._user = staging, links, clock, user
        self._settle_seconds = settle_seconds
        self._confirmed, self._changed, self._moved, self._refused = confirmed, changed, moved, refused
        self._wake = asyncio.Event()
        self._going: dict[str, asyncio.Task[None]] = {}
        self._publishing: set[str] = set()
        self._loop: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin, with what is staged already."""
        self._loop = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """End; what is in the middle goes on at the next start."""
        if self._loop is not None:
            self._loop.cancel()
            await asyncio.gather(self._loop, return_exceptions=True)
        await asyncio.gather(*(self.halt(file) for file in self._staging.all()))

    def queue(self, file: StagedFile, *, now: bool = False) -> None:
        """Send `file` soon, or now."""
        file.due = 0.0 if now else self._clock.monotonic() + self._settle_seconds
        self._wake.set()

    def is_done(self, file: StagedFile) -> bool:
        """Say whether sending on would change nothing: it is open, or was refused since `hurry`."""
        return file.state is FileState.OPEN_DIRTY or (file.state is FileState.REFUSED and file.tries > 0)

    def hurry(self) -> None:
        """Try everything now, what was refused too."""
        for link in self._links.values():
            link.forget_rest()
        for file in self._staging.all():
            if file.state is FileState.REFUSED:
                file.tries = 0
            self.queue(file, now=True)

    def wake(self) -> None:
        """There is something to do."""
        self._wake.set()

    async def tidy(self) -> None:
        """Remove uploads in the archive that will not be published; what cannot be reached waits."""
        for link in self._links.values():
            await self._clear_leftovers(link)

    async def halt(self, file: StagedFile) -> None:
        """Return when nothing is sending `file`: an upload is dropped, a publication is waited for."""
        task = self._going.get(file.id)
        if task is None:
            return
        if file.id not in self._publishing:
            task.cancel()
        await asyncio.wait({task})

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            pause = self._start_due()
            try:
                await self.tidy()
            except Exception:  # a mistake in tidying up must not end the sending
                log.exception("Uploads that nobody needs could not be removed; it is tried again later.")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):  # not wait_for: 3.11's may lose a cancellation
                    await self._wake.wait()

    def _start_due(self) -> float:
        now, pause = self._clock.monotonic(), 30.0
        for file in self._staging.all():
            refused_again = file.state is FileState.REFUSED and file.tries == 0
            if file.dataset not in self._links:  # not chosen this time: it waits for a session that has it
                continue
            if file.id in self._going or file.writers or file.holds or not (file.state in _READY or refused_again):
                continue
            if file.due > now:
                pause = min(pause, file.due - now)
            elif len(self._going) < AT_ONCE:
                task = asyncio.create_task(self._send(file))
                self._going[file.id] = task
                task.add_done_callback(partial(self._landed, file))
        return max(pause, 0.01)

    def _landed(self, file: StagedFile, task: asyncio.Task[None]) -> None:
        self._going.pop(file.id, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("Sending %s ended badly; it stays staged.", file.path, exc_info=error)
            file.due = self._clock.monotonic() + LONGEST_PAUSE_SECONDS
        if file.state in {_S.UPLOADING, _S.VERIFYING}:
            self._pause(file, None, 0.0)
        self._wake.set()
        self._changed()

    async def _send(self, file: StagedFile) -> None:
        """One try; every end of it is a state."""
        try:
            await self._try(file, self._links[file.dataset])
        except asyncio.CancelledError:
            self._pause(file, None, 0.0)
            raise
        except VersionChanged:
            await self._settle_conflict(file, self._links[file.dataset])
        except FileNotThere as error:
            await self._make_folders(file, error)
        except (Unavailable, NoSpace) as error:
            self._pause(file, error, self._back_off(file))
        except AlcError as error:
            if isinstance(error, Denied) and error.field == "credentials":
                self._pause(file, error, self._back_off(file))
            else:
                file.tries += 1
                self._staging.move(file, FileState.REFUSED, error)
                self._refused(file)
        except Exception:  # the top of a loop: a file must not be lost to a mistake of ours
            log.exception("Sending %s failed in a way we did not foresee; it stays staged.", file.path)
            self._pause(file, None, LONGEST_PAUSE_SECONDS)

    async def _try(self, file: StagedFile, link: Link) -> None:
        file.sent, file.attempted = 0, True
        self._staging.move(file, FileState.UPLOADING)
        uploads, one_step, size = link.uploads(), link.adapter, file.size
        self._changed()
        if isinstance(one_step, OneStep) and await link.ask(lambda: one_step.takes_in_one_step(size), again=False):
            entry = await self._put(file, link, one_step)
        else:
            entry = await self._upload_and_publish(file, link, uploads)
        if entry.size != file.size:
            raise VersionChanged(f"{file.path} was replaced at once.", next_step="Look at both.")
        self._finish(file, entry)

    async def _put(self, file: StagedFile, link: Link, archive: OneStep) -> Entry:
        """Send in one step. Its end is waited for as soon as the archive may have all of it."""
        path, number, base = file.path, file.id, file.base
        self._staging.offer(file, await asyncio.to_thread(_checksum, file))

        def sent(size: int) -> None:
            file.sent = size
            if size >= file.size:
                self._publishing.add(number)

        try:
            entry = await link.ask(
                lambda: archive.put(path, file.data, base=base, sent=sent),
                deadline_seconds=_time_for(file, link),
                again=False,
            )
        finally:
            self._publishing.discard(number)
        self._staging.move(file, FileState.VERIFYING)
        return entry

    async def _upload_and_publish(self, file: StagedFile, link: Link, uploads: Uploads) -> Entry:
        """Send under a hidden name, read it back, give it its name."""
        path, number, base = file.path, file.id, file.base

        def sent(size: int) -> None:
            file.sent = size

        hidden = await link.ask(
            lambda: uploads.upload(path, file.data, number, sent), deadline_seconds=_time_for(file, link), again=False
        )
        self._staging.move(file, FileState.VERIFYING)
        ours = await asyncio.to_thread(_checksum, file)
        arrived = await link.ask(lambda: link.adapter.info(hidden))
        if arrived.size != file.size or await self._checksum_there(link, hidden, arrived) != ours:
            raise ArchiveUnreachable(f"{path} arrived damaged.", next_step="It is sent again by itself.")
        self._staging.offer(file, ours)
        self._publishing.add(number)
        try:
            return await link.ask(
                lambda: uploads.publish(path, number, base=base), deadline_seconds=_time_for(file, link), again=False
            )
        finally:
            self._publishing.discard(number)

    def _finish(self, file: StagedFile, entry: Entry) -> None:
        self._staging.finish(file)
        self._confirmed(file, entry)

    @staticmethod
    async def _checksum_there(link: Link, path: str, there: Entry) -> str:
        """The checksum of what the archive gives back."""
        total = hashlib.sha256()
        for start in range(0, there.size, _PIECE):
            stop = min(start + _PIECE, there.size)
            total.update(await link.ask(partial(link.adapter.read_range, path, start, stop, there.token)))
        return f"{there.size}-{total.hexdigest()}"

    async def _settle_conflict(self, file: StagedFile, link: Link) -> None:
        """Theirs keeps the name and ours goes beside it, unless theirs is our own (killed after a publication)."""
        if file.state is FileState.UPLOADING:
            self._staging.move(file, FileState.VERIFYING)
        try:
            if await self._is_ours(file, link):
                return
        except FileNotThere:
            pass
        except (AlcError, asyncio.CancelledError) as error:
            self._pause(file, error if isinstance(error, AlcError) else None, self._back_off(file))
            return
        name = file.path
        beside = self._staging.beside(file.dataset, f"{name}.conflict-{slug(self._user)}")
        self._staging.move(file, FileState.CONFLICT)
        self._staging.place(file, beside, None)
        self._staging.notice(file.dataset, name, beside)
        self._moved(file.dataset, name, beside)
        self.queue(file, now=True)

    async def _is_ours(self, file: StagedFile, link: Link) -> bool:
        """Finish if the archive has our very bytes; go on from there if it has what we published before."""
        there = await link.ask(lambda: link.adapter.info(file.path))
        ours = await asyncio.to_thread(_checksum, file)
        offered = file.offered.split()
        sizes = {told.partition("-")[0] for told in (ours, *offered)}
        if there.is_folder or str(there.size) not in sizes:
            return False
        found = await self._checksum_there(link, file.path, there)
        if found == ours:
            self._staging.leave_over(file)
            self._finish(file, there)
        elif found in offered:
            self._staging.rebase(file, there.token)
            self._pause(file, None, 0.0)
        return found == ours or found in offered

    async def _make_folders(self, file: StagedFile, error: FileNotThere) -> None:
        """The folder went away while the file was unsent: make it again, the file has to go somewhere."""
        link, folder = self._links[file.dataset], ""
        try:
            for part in file.path.split("/")[:-1]:
                folder = f"{folder}/{part}" if folder else part
                with contextlib.suppress(VersionChanged):
                    await self._make_folder(link, folder)
        except AlcError as other:
            error = other if isinstance(other, FileNotThere) else error
        self._pause(file, error, self._back_off(file) if file.tries else 0.0)
        file.tries += 1

    @staticmethod
    async def _make_folder(link: Link, folder: str) -> None:
        try:
            await link.ask(lambda: link.adapter.info(folder))
        except FileNotThere:
            await link.ask(lambda: link.folders().mkdir(folder), again=False)

    def _pause(self, file: StagedFile, problem: AlcError | None, seconds: float) -> None:
        if file.gone:
            return
        file.due = self._clock.monotonic() + seconds
        self._staging.move(file, FileState.WAITING, problem)

    @staticmethod
    def _back_off(file: StagedFile) -> float:
        file.tries += 1
        return float(min(LONGEST_PAUSE_SECONDS, 2 ** min(file.tries - 1, 6)))

    async def _clear_leftovers(self, link: Link) -> None:
        for path, number in self._staging.leftovers(link.dataset.id):
            try:
                await link.ask(lambda p=path, n=number: link.uploads().discard(p, n))  # type: ignore[misc]
            except FileNotThere:
                pass
            except AlcError:
                return
            self._staging.cleared(link.dataset.id, path, number)


def _time_for(file: StagedFile, link: Link) -> float:
    return link.deadline_seconds + file.size / SLOWEST_BYTES_PER_SECOND


def _checksum(file: StagedFile) -> str:
    """The checksum of what is staged, in the form of `_checksum_there`."""
    total = hashlib.sha256()
    for start in range(0, file.size, _PIECE):
        total.update(file.read(start, start + _PIECE))
    return f"{file.size}-{total.hexdigest()}"
