"""What s3fs believes unseen: that an answer is S3's, and of which version and part of a file. It is looked at here."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from jupyter_alc.dms.adapters.ranged import FINE, part_of
from jupyter_alc.dms.adapters.s3_bucket import not_s3
from jupyter_alc.dms.adapters.statuses import error_of
from jupyter_alc.dms.adapters.versions import changed

if TYPE_CHECKING:
    from collections.abc import Mapping

_LISTS: Final = frozenset({"ListObjectsV2", "ListObjectVersions"})
_TOLD: Final = frozenset({"Name", "KeyCount", "MaxKeys", "IsTruncated"})
_ABSENT: Final = frozenset({"NoSuchKey", "NoSuchBucket", "NoSuchVersion"})
_OTHER_VERSION: Final = frozenset({412, 416})
_TRIES: Final = {"total_max_attempts": 2, "mode": "standard"}


@dataclass(frozen=True, slots=True)
class _Head:
    status: int
    headers: Mapping[str, str]


_HEADS: ContextVar[list[_Head] | None] = ContextVar("heads", default=None)
"""Of the objects that are read in this context; s3fs hands over their bytes alone."""


def is_s3(files: Any) -> bool:
    """Say whether s3fs made this file system."""
    return type(files).__module__.partition(".")[0] == "s3fs"


def watch(files: Any) -> None:
    """Have every answer to this s3fs file system, not used so far, looked at before s3fs sees it."""
    from aiobotocore.session import AioSession  # type: ignore[import-untyped]  # noqa: PLC0415  (s3fs brings it)

    files.retries = 1  # the engine asks again; s3fs would for minutes, each time with botocore's own tries
    files.config_kwargs = {"retries": _TRIES, **files.config_kwargs}
    if files.session is None:
        files.session = AioSession(**files.kwargs)  # as s3fs makes it at its first question
    files.session.register("after-call.s3", _look)


def read_object(files: Any, at: str, path: str, start: int, stop: int, *, if_token: str) -> bytes:
    """The bytes `start`..`stop` of the version `if_token`, with every check of a ranged GET; blocks."""
    heads = list[_Head]()
    before = _HEADS.set(heads)
    try:
        got = bytes(files.cat_file(at, start=start, end=stop))
    except OSError as error:
        if heads and heads[-1].status in _OTHER_VERSION:
            raise changed(path) from error
        raise
    finally:
        _HEADS.reset(before)
    part = part_of(heads[-1], path, start, stop, if_token)
    return got[part.skip : part.skip + part.size]


def _look(http_response: Any, parsed: Mapping[str, Any], model: Any, **_: object) -> None:
    """A page is not S3's, whatever its status; only S3 itself can say that something is not there."""
    status, reads = http_response.status_code, model.name == "GetObject"
    if status == 401:
        raise error_of(status, "GET", "")
    if status == 404 and (reads or model.name in _LISTS) and parsed.get("Error", {}).get("Code") not in _ABSENT:
        raise not_s3()
    if status == 200 and model.name in _LISTS and _TOLD.isdisjoint(parsed):
        raise not_s3()
    if status in FINE and (reads or model.name == "HeadObject") and not parsed.get("ETag"):
        raise not_s3()
    if reads and (heads := _HEADS.get()) is not None:
        heads.append(_Head(status, http_response.headers))
