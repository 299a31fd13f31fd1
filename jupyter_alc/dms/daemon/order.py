"""What a daemon is told to do, checked before anything is touched. It holds credentials: never shown, never logged."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from jupyter_alc.core.dataset import MountedDataset
from jupyter_alc.core.errors import AlcError, BadInput

DEFAULT_QUOTA_BYTES = 10 * 1024**3


@dataclass(frozen=True, slots=True)
class Order:
    """Whom to serve, where, as whom, and which datasets.

    `run_as_uid` and `run_as_gid` are given when root starts the daemon; it gives up root before it speaks to anybody.
    """

    user: str
    socket: Path
    volume: Path
    admit_uids: frozenset[int]
    files_uid: int
    files_gid: int
    datasets: tuple[MountedDataset, ...]
    mount: Path | None = None
    run_as_uid: int | None = None
    run_as_gid: int | None = None
    quota_bytes: int = DEFAULT_QUOTA_BYTES
    flush_seconds: float = 5.0

    @property
    def keepers(self) -> frozenset[int]:
        """Who may renew credentials: those admitted who are not the person, unless nobody else is."""
        return self.admit_uids - {self.files_uid} or self.admit_uids

    @classmethod
    def from_json(cls, told: Any) -> Order:
        """Read the order; `BadInput` names the field that is wrong."""
        if not isinstance(told, Mapping):
            raise BadInput("The order is not a JSON object.", next_step="Give one JSON object on standard input.")
        return cls(
            user=_of(told, "user", str),
            socket=Path(_of(told, "socket", str)),
            volume=Path(_of(told, "volume", str)),
            admit_uids=frozenset(_uid(uid, "admit_uids") for uid in _of(told, "admit_uids", list)),
            files_uid=_uid(told.get("files_uid"), "files_uid"),
            files_gid=_uid(told.get("files_gid"), "files_gid"),
            datasets=tuple(_dataset(each) for each in _of(told, "datasets", list)),
            mount=Path(_of(told, "mount", str)) if told.get("mount") else None,
            run_as_uid=_uid_or_none(told, "run_as_uid"),
            run_as_gid=_uid_or_none(told, "run_as_gid"),
            quota_bytes=int(told.get("quota_bytes") or DEFAULT_QUOTA_BYTES),
            flush_seconds=float(told.get("flush_seconds") or 5.0),
        )

    @classmethod
    def read(cls, stream: TextIO) -> Order:
        """Read one JSON object; the sender may keep the stream open behind it."""
        text = ""
        for line in stream:
            text += line
            try:
                return cls.from_json(json.loads(text))
            except json.JSONDecodeError:
                continue
        raise BadInput("The order is not a JSON object.", next_step="Give one JSON object on standard input.")


def _of(told: Mapping[str, Any], field: str, kind: type[Any]) -> Any:
    found = told.get(field)
    if not isinstance(found, kind) or found == "":
        raise BadInput(
            f"The order lacks a usable {field}.", next_step=f"Give {field} as a {kind.__name__}.", field=field
        )
    return found


def _uid(found: Any, field: str) -> int:
    if isinstance(found, bool) or not isinstance(found, int) or not 0 <= found < 2**32 - 1:
        raise BadInput(f"{field} of the order is not a number of a user.", next_step="Give a uid.", field=field)
    return found


def _uid_or_none(told: Mapping[str, Any], field: str) -> int | None:
    return None if told.get(field) is None else _uid(told[field], field)


def _dataset(told: Any) -> MountedDataset:
    try:
        return MountedDataset.from_json(told)
    except AlcError:
        raise
    except (TypeError, KeyError, ValueError) as wrong:
        raise BadInput(
            "A dataset of the order cannot be read.", next_step="Give it as it was made.", field="datasets"
        ) from wrong
