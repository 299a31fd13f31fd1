"""The one family of errors that people may see.

    AlcError                      code             HTTP
    ├── BadInput                  bad_input         422   a value is wrong; names the field
    ├── BadFile                   bad_file          422   a file is wrong; names file, line and what to write
    ├── NotFound                  not_found         404   not there, or not yours: the two are told alike
    │   └── FileNotThere          no_such_file      404   also a FileNotFoundError, for callers of file systems
    ├── Denied                    denied            403   also a PermissionError
    ├── ReadOnly                  read_only         403   also an OSError (EROFS)
    ├── Conflict                  conflict          409   not now: something else is in the way
    │   ├── PoolExhausted         pool_exhausted    409   every machine of the type is in use
    │   ├── IllegalMove           illegal_move      409   a state may not become the other
    │   ├── VersionChanged        version_changed   409   the archive's file is not the one that was opened (ESTALE)
    │   ├── Exists                exists            409   also a FileExistsError
    │   ├── IsFolder              is_folder         409   also an IsADirectoryError
    │   ├── NotFolder             not_folder        409   also a NotADirectoryError
    │   ├── NotEmpty              not_empty         409   a folder that still holds something (ENOTEMPTY)
    │   └── OtherDataset          other_dataset     409   a move between two datasets (EXDEV): copy, then remove
    ├── Unavailable               unavailable       503   could not ask: says nothing about what is there
    │   ├── ArchiveUnreachable    archive_unreachable 503 also an OSError (EIO)
    │   └── TooLate               too_late          504   a deadline passed
    ├── TooMany                   too_many          422   more than one answer can hold; also an OSError (EOVERFLOW)
    ├── Missing                   missing           501   something this computer lacks: a device, a program, a package
    └── NoSpace                   no_space          507   also an OSError (ENOSPC)

Each says what happened (`str(error)`) and what to do next (`next_step`). They are made at the door where a foreign
library is called; no foreign text reaches a user.
"""

from __future__ import annotations

import errno
from typing import Any, ClassVar


class AlcError(Exception):
    """Something we can explain: `str(error)` is a sentence for the user, `next_step` says what to do about it."""

    code: ClassVar[str] = "internal"
    http_status: ClassVar[int] = 500

    def __init__(self, sentence: str, *, next_step: str = "", field: str = "") -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.next_step = next_step
        self.field = field
        if next_step:
            self.add_note(next_step)  # a traceback tells it too: in a notebook, in a log, from a Spark executor

    def __str__(self) -> str:
        return self.sentence

    @property
    def line(self) -> str:
        """The error and its next step on one line, as a terminal or a notebook shows it."""
        return f"{self.sentence} {self.next_step}".strip()

    def as_json(self) -> dict[str, str]:
        """`{"code", "message", "next_step"}`, and `"field"` where one value is at fault."""
        told = {"code": self.code, "message": self.sentence, "next_step": self.next_step}
        return {**told, "field": self.field} if self.field else told


class BadInput(AlcError):
    """A value somebody gave is wrong."""

    code = "bad_input"
    http_status = 422


class BadFile(AlcError):
    """A file somebody wrote is wrong: the sentence names file and line, the next step what to write."""

    code = "bad_file"
    http_status = 422


class NotFound(AlcError):
    """Not there, or not yours; the two are told alike."""

    code = "not_found"
    http_status = 404


class _WithErrno(AlcError, OSError):
    """An error that file-system callers catch by its built-in class and errno."""

    number: ClassVar[int] = errno.EIO

    def __init__(self, sentence: str, *, next_step: str = "", field: str = "") -> None:
        AlcError.__init__(self, sentence, next_step=next_step, field=field)
        self.errno = self.number
        self.strerror = sentence


class FileNotThere(_WithErrno, NotFound, FileNotFoundError):
    """The archive said that this file or folder does not exist."""

    code = "no_such_file"
    http_status = 404
    number = errno.ENOENT


class Denied(_WithErrno, PermissionError):
    """Known, and not allowed."""

    code = "denied"
    http_status = 403
    number = errno.EACCES


class ReadOnly(_WithErrno):
    """The dataset is read-only for this user."""

    code = "read_only"
    http_status = 403
    number = errno.EROFS


class Conflict(AlcError):
    """Not now: something else is in the way."""

    code = "conflict"
    http_status = 409


class PoolExhausted(Conflict):
    """Every machine of the wanted type is in use."""

    code = "pool_exhausted"


class IllegalMove(Conflict):
    """A state may not become the other."""

    code = "illegal_move"


class VersionChanged(_WithErrno, Conflict):
    """The archive's file is not the one that was opened; versions are never mixed."""

    code = "version_changed"
    http_status = 409
    number = errno.ESTALE


class Exists(_WithErrno, Conflict, FileExistsError):
    """Something of this name is there already."""

    code = "exists"
    number = errno.EEXIST


class IsFolder(_WithErrno, Conflict, IsADirectoryError):
    """A file was wanted and this is a folder."""

    code = "is_folder"
    number = errno.EISDIR


class NotFolder(_WithErrno, Conflict, NotADirectoryError):
    """A folder was wanted and this is a file."""

    code = "not_folder"
    number = errno.ENOTDIR


class NotEmpty(_WithErrno, Conflict):
    """A folder still holds something."""

    code = "not_empty"
    number = errno.ENOTEMPTY


class OtherDataset(_WithErrno, Conflict):
    """Two datasets are two archives: nothing moves between them in one step."""

    code = "other_dataset"
    number = errno.EXDEV


class Unavailable(AlcError):
    """Could not ask; that says nothing about what is there."""

    code = "unavailable"
    http_status = 503


class ArchiveUnreachable(_WithErrno, Unavailable):
    """The archive did not answer. Never the same as "not there"."""

    code = "archive_unreachable"
    http_status = 503
    number = errno.EIO


class TooLate(Unavailable):
    """A deadline passed."""

    code = "too_late"
    http_status = 504


class TooMany(_WithErrno):
    """More names, or more to ask, than one answer can take."""

    code = "too_many"
    http_status = 422
    number = errno.EOVERFLOW


class Missing(AlcError):
    """Something this computer lacks: a device, a program, a package."""

    code = "missing"
    http_status = 501


class NoSpace(_WithErrno):
    """The disk or the quota is full."""

    code = "no_space"
    http_status = 507
    number = errno.ENOSPC


def family(root: type[AlcError] = AlcError) -> list[type[AlcError]]:
    """Return every kind of error with a code of its own, each once, the general before the particular."""
    below = [kind for child in root.__subclasses__() for kind in family(child)]
    return [kind for kind in dict.fromkeys([root, *below]) if "code" in vars(kind)]


def from_json(told: dict[str, Any]) -> AlcError:
    """Make the error that `AlcError.as_json` told, on the other side of a socket; unknown codes become `AlcError`."""
    known = {kind.code: kind for kind in family()}
    kind = known.get(str(told.get("code", "")), AlcError)
    return kind(
        str(told.get("message") or "The service gave no reason."),
        next_step=str(told.get("next_step") or ""),
        field=str(told.get("field") or ""),
    )
