"""What was written and is not yet in the archive: data files and, in SQLite, where each belongs and how far it got.

Data is made durable before its row says so, and a row before success is reported. Rows and files are in `staging/`.
"""

from __future__ import annotations

import itertools
import json
import logging
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

from jupyter_alc.core.errors import BadFile, NoSpace
from jupyter_alc.core.states import FILE_MOVES, FileState, check_move
from jupyter_alc.dms.engine.queue import DATA, keep_name, name_of, open_queue
from jupyter_alc.dms.engine.staged import StagedFile

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator
    from pathlib import Path

    from jupyter_alc.core.clock import Clock, IdMaker
    from jupyter_alc.core.errors import AlcError
    from jupyter_alc.dms.engine.disk import Disk

log = logging.getLogger(__name__)

_OFFERS: Final = 31
_NAMELESS: Final = "nameless-"
_COLUMNS: Final = ("path", "state", "size", "base", "synced", "changed", "tries", "problem", "offered")
_SAVE: Final = f"""
INSERT INTO files VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET {", ".join(f"{one} = excluded.{one}" for one in _COLUMNS)}"""  # noqa: S608


class Staging:
    """The folder and its rows. Methods that touch the disk may wait for it: call them off the loop where it matters."""

    def __init__(self, disk: Disk, clock: Clock, new_id: IdMaker) -> None:
        self._disk, self._clock, self._new_id = disk, clock, new_id
        self._top = disk.volume / "staging"
        self._lock = threading.RLock()
        self._files: dict[tuple[str, str], StagedFile] = {}
        self._given: set[str] = set()
        self._over: set[str] = set()  # rows of files that are no more: the disk had no room for their end
        self._bin = ThreadPoolExecutor(1, "staging-bin")
        self.damage: BadFile | None = None
        with disk.told():
            self._top.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._connection, lost = open_queue(self._top / "queue.sqlite", f"{clock.now():%Y%m%dT%H%M%S}")
        self._pick_up()
        self._take_strays(lost)

    def get(self, dataset: str, path: str) -> StagedFile | None:
        """The file staged for `path`, if there is one."""
        return self._files.get((dataset, path))

    def all(self, dataset: str | None = None) -> list[StagedFile]:
        """Every staged file, of one dataset or of all."""
        return [one for one in self._files.values() if dataset in {None, one.dataset}]

    def below(self, dataset: str, folder: str) -> list[StagedFile]:
        """Every staged file inside `folder`, however deep."""
        start = f"{folder}/" if folder else ""
        return [one for one in self.all(dataset) if one.path.startswith(start)]

    def create(self, dataset: str, path: str, base: str | None) -> StagedFile:
        """An empty file, durable as a name; `NoSpace` when the disk is full."""
        file = self.prepare(dataset, path, base)
        try:
            self.adopt(file)
        except BaseException:
            self.abandon(file)
            raise
        return file

    def prepare(self, dataset: str, path: str, base: str | None) -> StagedFile:
        """A data file without a row yet: a kill now leaves nothing of it."""
        number = self._new_id("file")
        data = self._top / f"{number}.data"
        with self._disk.told():
            descriptor = os.open(data, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            keep_name(descriptor, dataset, path)
        now = self._clock.now().timestamp()
        return StagedFile(
            number, dataset, path, FileState.OPEN_DIRTY, 0, base, now, data, descriptor, changes=1, synced=False
        )

    def adopt(self, file: StagedFile) -> None:
        """Give a prepared file its row and its place."""
        with self._disk.told():
            _sync_folder(self._top)
        self._save(file)
        self._files[file.dataset, file.path] = file

    def abandon(self, file: StagedFile) -> None:
        """Undo `prepare`."""
        os.close(file.descriptor)
        file.data.unlink(missing_ok=True)

    def unsync(self, file: StagedFile) -> None:
        """Say in the row, before a write, that the data is no longer whole."""
        if file.synced or file.state is not FileState.OPEN_DIRTY:
            if file.state is not FileState.OPEN_DIRTY:
                self._move(file, FileState.OPEN_DIRTY)
            file.synced = False
            self._save(file)

    def write(self, file: StagedFile, offset: int, data: bytes) -> None:
        """Write all of `data`; `NoSpace` before the disk is so full that nothing could be sent from it any more."""
        with self._disk.told(len(data)):
            self._disk.leave_room(len(data))
            view, done = memoryview(data), 0
            while done < len(view):
                done += os.pwrite(file.descriptor, view[done:], offset + done)
        file.size = max(file.size, offset + len(data))
        self._changed(file)

    def truncate(self, file: StagedFile, size: int) -> None:
        """Cut or extend."""
        with self._disk.told():
            os.ftruncate(file.descriptor, size)
        file.size = size
        self._changed(file)

    def make_durable(self, file: StagedFile, *, closed: bool) -> None:
        """Return when data and row are on the disk; `closed` makes it ready to be sent."""
        if file.gone:
            return
        if file.durable != file.changes:
            changes = file.changes
            with self._disk.told():
                os.fsync(file.descriptor)
            file.durable, file.synced = changes, True
        file.synced = file.durable == file.changes
        if closed and file.state is FileState.OPEN_DIRTY and file.synced:
            self._move(file, FileState.STAGED)
        self._save(file)

    def move(self, file: StagedFile, state: FileState, problem: AlcError | None = None) -> None:
        """Note a step of its way; on a full disk the row stays behind, and the next start takes the way from there."""
        self._move(file, state)
        file.problem = problem.as_json() if problem else None
        with suppress(NoSpace):
            self._save(file)

    def offer(self, file: StagedFile, checksum: str) -> None:
        """Note, before it is published, what may be in the archive from now on.

        On a full disk only this run knows: sending is what makes room, and after a kill the bytes tell that it is ours.
        """
        file.offered = " ".join([*file.offered.split()[-_OFFERS:], checksum])
        with suppress(NoSpace):
            self._save(file)

    def rebase(self, file: StagedFile, base: str) -> None:
        """Base `file` on another version: our own, published before."""
        file.base = base
        self._save(file)

    def place(self, file: StagedFile, path: str, base: str | None) -> None:
        """Let `file` be the one at `path`, in one step; what was staged there is no more."""
        other = self._files.get((file.dataset, path))
        offered = file.offered
        if other is not None and other is not file:  # if the archive has one of its versions, that is our own too
            offered = " ".join([*other.offered.split(), *offered.split()][-_OFFERS:])
        with self._rows() as rows:
            if other is not None and other is not file:
                rows.execute("DELETE FROM files WHERE id = ?", (other.id,))
            rows.execute(
                "UPDATE files SET path = ?, base = ?, offered = ? WHERE id = ?", (path, base, offered, file.id)
            )
        if other is not None and other is not file:
            self._forget(other)
        keep_name(file.descriptor, file.dataset, path)
        self._files.pop((file.dataset, file.path), None)
        file.path, file.base, file.offered = path, base, offered
        self._files[file.dataset, path] = file

    def finish(self, file: StagedFile) -> None:
        """Forget a file that is in the archive, in one step: a kill leaves its row as it was, or none."""
        self._move(file, FileState.CLEAN)
        self.drop(file)

    def drop(self, file: StagedFile) -> None:
        """Forget a file that was sent or removed; open handles keep its bytes.

        First its bytes, for on a full disk they are the room its row's end needs; a row without bytes means no file.
        """
        self._forget(file)
        self._over.add(file.id)
        with suppress(NoSpace), self._rows():
            pass

    def release(self, file: StagedFile) -> None:
        """One user less."""
        file.users -= 1
        if file.gone and file.users <= 0 and file.descriptor >= 0:
            self._bin.submit(os.close, file.descriptor)  # gives back the disk's space: 0.15 s for 500 MB
            file.descriptor = -1

    def beside(self, dataset: str, start: str) -> str:
        """A path `<start>-<time>` where nothing is staged, though two are wanted within one second."""
        path = f"{start}-{self._clock.now():%Y%m%dT%H%M%S}"
        numbered = (f"{path}-{number}" for number in itertools.count(2))
        while (dataset, path) in self._files or path in self._given:
            path = next(numbered)
        self._given.add(path)
        return path

    def leave_over(self, file: StagedFile) -> None:
        """Note that a hidden upload may lie in the archive and is to be removed when possible."""
        with self._rows() as rows:
            rows.execute("INSERT INTO leftovers VALUES (?, ?, ?)", (file.dataset, file.path, file.id))

    def leftovers(self, dataset: str) -> list[tuple[str, str]]:
        """(path, id) of the uploads to be removed."""
        with self._reading() as rows:
            found = rows.execute("SELECT DISTINCT path, id FROM leftovers WHERE dataset = ?", (dataset,)).fetchall()
        return [(str(path), str(number)) for path, number in found]

    def cleared(self, dataset: str, path: str, number: str) -> None:
        """A leftover is gone."""
        with self._rows() as rows:
            rows.execute("DELETE FROM leftovers WHERE dataset = ? AND path = ? AND id = ?", (dataset, path, number))

    def notice(self, dataset: str, path: str, beside: str) -> None:
        """Note a conflict, for the status."""
        with self._rows() as rows:
            at = self._clock.now().timestamp()
            rows.execute("INSERT INTO notices VALUES (?, ?, ?, ?)", (dataset, path, beside, at))

    def last_notice(self, dataset: str) -> tuple[str, str] | None:
        """(path, beside) of the newest conflict."""
        question = "SELECT path, beside FROM notices WHERE dataset = ? ORDER BY at DESC, rowid DESC LIMIT 1"
        with self._reading() as rows:
            found = rows.execute(question, (dataset,)).fetchone()
        return (str(found[0]), str(found[1])) if found else None

    def stop(self) -> None:
        """Close all; everything stays where it is."""
        for file in self._files.values():
            if file.durable != file.changes:
                os.fsync(file.descriptor)
            os.close(file.descriptor)
            file.descriptor = -1
        self._files.clear()
        self._bin.shutdown()
        self._connection.close()

    @contextmanager
    def _rows(self) -> Iterator[sqlite3.Connection]:
        """One transaction, one thread at a time; `NoSpace` when the disk has no room for it."""
        with self._disk.told(), self._lock:
            with self._connection:
                over = list(self._over)
                self._connection.executemany("DELETE FROM files WHERE id = ?", [(one,) for one in over])
                yield self._connection
            self._over.difference_update(over)

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        """Only a question, which needs no room; one thread at a time."""
        with self._disk.told(), self._lock:
            yield self._connection

    def _changed(self, file: StagedFile) -> None:
        file.changes += 1
        file.changed = self._clock.now().timestamp()

    def _move(self, file: StagedFile, state: FileState) -> None:
        if file.state is not state:
            file.state = check_move(FILE_MOVES, file.state, state, file.path)

    def _forget(self, file: StagedFile) -> None:
        file.gone = True
        if self._files.get((file.dataset, file.path)) is file:
            del self._files[file.dataset, file.path]
        file.data.unlink(missing_ok=True)
        file.users += 1
        self.release(file)

    def _save(self, file: StagedFile) -> None:
        """Write the row of a file that is still ours; two rows for one path are an error, never a silent loss."""
        if file.gone:
            return
        with self._rows() as rows:  # read under the lock: two threads must not write an older row over a newer one
            problem = json.dumps(file.problem) if file.problem else None
            head = (file.id, file.dataset, file.path, str(file.state), file.size, file.base)
            rows.execute(_SAVE, (*head, int(file.synced), file.changed, file.tries, problem, file.offered))

    def _pick_up(self) -> None:
        """Take what an earlier run left: every row goes on, data without a row was never promised."""
        with self._reading() as rows:
            left = rows.execute("SELECT * FROM files").fetchall()
        for row in left:
            file = self._from_row(row)
            if file is None:
                continue
            if file.state in {FileState.UPLOADING, FileState.VERIFYING}:
                self._move(file, FileState.WAITING)
            if file.state is FileState.OPEN_DIRTY:
                self._was_open(file)
            self._files[file.dataset, file.path] = file
            with suppress(NoSpace):
                self._save(file)

    def _take_strays(self, lost: str) -> None:
        """Data without a row was never promised, and goes; when the rows were lost, all of it is kept.

        What such a file was based on and whether it was whole is not known any more, so its new name says so.
        """
        known = {file.data.name for file in self._files.values()}
        strays = [one for one in self._top.glob(DATA) if one.name not in known]
        if not lost:
            for stray in strays:
                stray.unlink()
        found = sum(map(self._recovered, strays)) if lost else 0
        nameless = len(list(self._top.glob(f"{_NAMELESS}*")))
        if lost or nameless:
            self.damage = _damaged(self._top, lost or "was damaged once", found, nameless)
            log.error("%s", self.damage.line)

    def _recovered(self, data: Path) -> bool:
        descriptor = os.open(data, os.O_RDWR | os.O_CLOEXEC)
        found, seen = name_of(descriptor), os.fstat(descriptor)
        if found is None:
            os.close(descriptor)
            data.rename(data.with_name(_NAMELESS + data.name))
            return False
        dataset, path = found[0], self.beside(found[0], f"{found[1]}.recovered")
        kept = (data.stem, dataset, path, FileState.STAGED, seen.st_size, None, seen.st_mtime, data, descriptor)
        file = StagedFile(*kept, attempted=True, token_salt=os.getpid())
        self._save(file)
        self._files[dataset, path] = file
        return True

    def _was_open(self, file: StagedFile) -> None:
        """It was open when the daemon ended: whole if it was synced, else set apart under a name that says so."""
        self._move(file, FileState.STAGED)
        if not file.synced:
            file.path = self.beside(file.dataset, f"{file.path}.unfinished")
            file.base, file.synced, file.offered = None, True, ""

    def _from_row(self, row: tuple[Any, ...]) -> StagedFile | None:
        number, dataset, path, state, _, base, synced, changed, tries, problem, offered = row
        data = self._top / f"{number}.data"
        try:
            descriptor = os.open(data, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:  # sent, and killed before the row went
            with self._rows() as rows:
                rows.execute("DELETE FROM files WHERE id = ?", (number,))
            return None
        size = os.fstat(descriptor).st_size
        told = json.loads(problem) if problem else None
        kept = (number, dataset, path, FileState(state), size, base, changed, data, descriptor, tries, told, offered)
        return StagedFile(*kept, synced=bool(synced), attempted=True, token_salt=os.getpid())


def _damaged(top: Path, what: str, found: int, nameless: int) -> BadFile:
    again = "Compare what arrives as <name>.recovered-<time> with what the archive has. " if found else ""
    lost = f"{nameless} unsent files without a name stay there: ask the facility's support." if nameless else ""
    kept = f"{found} unsent files were found again, and none of their data is lost."
    return BadFile(
        f"The list of unsent files in {top} {what}; {kept}",
        next_step=f"{again}{lost}".strip() or "Nothing is to be done.",
    )


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
