"""The verbs of `%dms` and `alc dms`: ask, show. No decisions."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from jupyter_alc.core.errors import AlcError, BadInput
from jupyter_alc.core.sizes import parse_size
from jupyter_alc.magics import data_shown
from jupyter_alc.magics.data_words import transfer_name
from jupyter_alc.magics.parsing import spoken_of
from jupyter_alc.magics.verbs import Door, Verb

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from jupyter_alc.magics.asking import Told
    from jupyter_alc.magics.client import Alc
    from jupyter_alc.magics.progress import Progress
    from jupyter_alc.magics.shown import Shown

DESCRIPTION: Final = "Your data: what is mounted, what moved, what still has to reach the archive."


def _status(alc: Alc, asked: argparse.Namespace, door: Door) -> Shown:
    return data_shown.data_shown(alc.dms.status())


def _ls(alc: Alc, asked: argparse.Namespace, door: Door) -> Shown:
    lines, path = _lines(asked), _place(alc, asked.path)
    if asked.refresh:
        alc.dms.refresh(path)
    return data_shown.folder_shown(alc.dms.files(path, asked.after, lines), path, door.by)


def _plan(alc: Alc, asked: argparse.Namespace, door: Door) -> Shown:
    return data_shown.plan_shown(alc.dms.plan(_in_dataset(alc, asked.path)), door.by)


def _fetch(alc: Alc, asked: argparse.Namespace, door: Door) -> Shown:
    limit = None if asked.limit is None else parse_size(asked.limit, "limit")
    options = {"connections": asked.connections, "bytes_per_second": limit}
    begun = alc.dms.fetch(*(_in_dataset(alc, path) for path in asked.paths), wait=False, **options)
    return data_shown.transfer_shown(begun, door.by) if asked.no_wait else _watch(alc, begun, door)


def _resume(alc: Alc, asked: argparse.Namespace, door: Door) -> Shown:
    return _watch(alc, alc.dms.resume(asked.transfer), door)


def _watch(alc: Alc, begun: Told, door: Door) -> Shown:
    """Show how far a transfer is until it ends; who interrupts this ends the waiting, not the transfer (S6)."""
    bar = door.new_bar()
    try:
        ended = alc.dms.wait(begun, lambda now: _move(bar, now))
    except AlcError:
        bar.end(f"{transfer_name(begun)}: not all of it could be brought", well=False)
        raise
    except KeyboardInterrupt:
        bar.end(f"{transfer_name(begun)}: goes on; {door.by} cancel {begun['id']} ends it", well=False)
        raise
    bar.end(data_shown.transfer_line(ended), well=ended["state"] == "done")
    return data_shown.transfer_shown(ended, door.by)


def _move(bar: Progress, transfer: Told) -> None:
    bar.show(data_shown.transfer_line(transfer), int(transfer["done_bytes"]), int(transfer["size_bytes"]))


def _transfers(alc: Alc, asked: argparse.Namespace, door: Door) -> Shown:
    return data_shown.transfers_shown(alc.dms.transfers(), door.by)


def _cancel(alc: Alc, asked: argparse.Namespace, door: Door) -> Shown:
    return data_shown.transfer_shown(alc.dms.cancel(asked.transfer), door.by)


def _history(alc: Alc, asked: argparse.Namespace, door: Door) -> Shown:
    return data_shown.history_shown(alc.dms.history(_place(alc, asked.path), _lines(asked)))


def _place(alc: Alc, typed: str) -> str:
    """`<dataset>/<path>` of what was typed: that, an address of `dms://`, or a path of the folder they lie in.

    Empty for all datasets, as that folder itself is.
    """
    if typed.startswith("dms://"):
        return typed.removeprefix("dms://")
    if not typed.startswith(("/", "~")):
        return typed
    place = Path(typed).expanduser()
    mount = (alc.dms.status().get("daemon") or {}).get("mount")
    if not mount or not place.is_relative_to(mount):
        return typed
    return "" if place == Path(mount) else str(place.relative_to(mount))


def _in_dataset(alc: Alc, typed: str) -> str:
    """The same where it must be of one dataset."""
    place = _place(alc, typed)
    if not place:
        raise BadInput(
            f"{typed or 'Nothing'} is no dataset, but the place of all of them.",
            next_step="Name a dataset, or a folder or file in one.",
            field="path",
        )
    return place


def _lines(asked: argparse.Namespace) -> int:
    if asked.limit < 1:
        raise BadInput("The limit is less than 1.", next_step="Give how many lines you want.", field="limit")
    return int(asked.limit)


def _mount(alc: Alc, asked: argparse.Namespace, door: Door) -> Shown:
    return data_shown.mount_shown(alc.dms.mount(asked.dataset), door.by)


def _unmount(alc: Alc, asked: argparse.Namespace, door: Door) -> Shown:
    return data_shown.mount_shown(alc.dms.unmount(asked.dataset), door.by)


def _notebooks(alc: Alc, asked: argparse.Namespace, door: Door) -> Shown:
    return data_shown.notebooks_shown(alc.dms.notebooks())


def _flush(alc: Alc, asked: argparse.Namespace, door: Door) -> Shown:
    return data_shown.flush_shown(alc.dms.flush(asked.deadline))


_FOLDER: Final[Mapping[str, Any]] = {"nargs": "?", "default": "", "help": "<dataset>/<folder>"}
_DATASET: Final[Mapping[str, Any]] = {"help": "the dataset's id"}
_TRANSFER: Final[Mapping[str, Any]] = {"help": "its id, as `transfers` tells it"}
_LIMIT: Final[Mapping[str, Any]] = {"type": int, "metavar": "LINES", "help": "how many lines"}
_WAITS: Final[Mapping[str, Any]] = {"type": float, "default": 60.0, "metavar": "SECONDS"}

VERBS: Final[Mapping[str, Verb]] = {
    "status": Verb("datasets with bytes needed, moved and from cache, transfers, and what is unsent", _status),
    "ls": Verb(
        "list a folder and where its files' bytes are; moves nothing",
        _ls,
        {
            "path": _FOLDER,
            "--after": {"default": "", "metavar": "NAME", "help": "only names behind this one"},
            "--limit": {**_LIMIT, "default": 1000},
            "--refresh": {"action": "store_true", "help": "ask the archive now, whatever is known"},
        },
        "paths",
    ),
    "plan": Verb(
        "what fetching a file or folder would mean: size, what is here, requests, time",
        _plan,
        {"path": {"help": "<dataset>/<folder or file>"}},
        "paths",
    ),
    "fetch": Verb(
        "bring files and folders onto this machine and wait; interrupted, it goes on by itself",
        _fetch,
        {
            "paths": {"nargs": "+", "metavar": "path", "help": "<dataset>/<folder or file>"},
            "--connections": {"type": int, "metavar": "N", "help": "requests at once"},
            "--limit": {"metavar": "SIZE", "help": "bytes a second at most, such as 10MB"},
            "--no-wait": {"action": "store_true", "help": "begin, and do not wait"},
        },
        "paths",
    ),
    "transfers": Verb("transfers under way and the last that ended", _transfers),
    "resume": Verb("go on with a transfer that failed or was cancelled", _resume, {"transfer": _TRANSFER}, "transfers"),
    "cancel": Verb("end a transfer; what has come stays", _cancel, {"transfer": _TRANSFER}, "transfers"),
    "history": Verb(
        "what was fetched, sent or refused, the newest first",
        _history,
        {"path": _FOLDER, "--limit": {**_LIMIT, "default": 20}},
        "paths",
    ),
    "mount": Verb("let a dataset come back into the folder", _mount, {"dataset": _DATASET}, "datasets"),
    "unmount": Verb(
        "let a dataset leave the folder; unsent files go on being sent", _unmount, {"dataset": _DATASET}, "datasets"
    ),
    "notebooks": Verb("bytes needed, moved and from cache of each notebook", _notebooks),
    "flush": Verb("send unsent results now and wait", _flush, {"--deadline": {**_WAITS, "help": "how long to wait"}}),
}
SPOKEN: Final = spoken_of("dms", DESCRIPTION, VERBS)


def run(alc: Alc, asked: argparse.Namespace, door: Door) -> Shown:
    """Do what was asked and show it."""
    return VERBS[asked.verb].act(alc, asked, door)
