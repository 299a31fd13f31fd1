"""What the verbs of `%dms` and `alc dms` show."""

from __future__ import annotations

import shlex
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from jupyter_alc.core.sizes import size
from jupyter_alc.magics.data_calls import GOING
from jupyter_alc.magics.data_words import (
    file_words,
    name_words,
    plan_words,
    sending_words,
    transfer_name,
    transfer_words,
)
from jupyter_alc.magics.shown import Shown, grid, message_of, stacked, why, words
from jupyter_alc.magics.words import duration, plural, short

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jupyter_alc.magics.asking import Told

_STUCK_SHOWN = 3
_BY = "%dms"


def data_shown(told: Told) -> Shown:
    """`%dms status`."""
    datasets = told.get("datasets") or []
    if not datasets:
        return words(
            str(told.get("words") or "No datasets came with this server. Choose some when you start it."), told
        )
    rows = [
        (
            one["id"],
            short(one.get("title"), 40),
            size(one.get("size_bytes")),
            size(one.get("needed_bytes")),
            f"{size(one.get('moved_bytes'))} in {plural(int(one.get('requests') or 0), 'request')}",
            size(one.get("from_cache_bytes")),
            why(sending_words(one), one.get("problem")),
        )
        for one in datasets
    ]
    table = grid(("dataset", "title", "size", "needed", "moved", "from cache", "state"), rows)
    going = [one for one in told.get("transfers") or [] if one["state"] in GOING]
    return stacked(
        table,
        *(words(f"Fetching {transfer_name(one)}: {', '.join(transfer_words(one))}.") for one in going),
        *_stuck(told.get("unsent") or []),
        *_folders_shown(told.get("daemon") or {}),
        told=told,
    )


def _folders_shown(daemon: Told) -> list[Shown]:
    """Where the datasets are folders, or why they are not."""
    if daemon.get("problem"):
        return [words(message_of(daemon["problem"]))]
    return [words(f"Mounted at {daemon['mount']}.")] if daemon.get("mounted") else []


def _stuck(unsent: Sequence[Told]) -> list[Shown]:
    """The unsent files that need attention, the first of many."""
    stuck = [one for one in unsent if one.get("problem")]
    lines = [words(why(one["path"], one["problem"])) for one in stuck[:_STUCK_SHOWN]]
    more = len(stuck) - len(lines)
    return [*lines, words(f"and {plural(more, 'more file', 'more files')} that could not be sent")] if more else lines


def folder_shown(told: Told, path: str = "", by: str = _BY) -> Shown:
    """`%dms ls`; what does not fit is behind the last name."""
    entries = told["entries"]
    if not entries:
        return words("Nothing here.", list(entries))
    rows = [
        (
            name_words(one),
            "" if one["type"] == "directory" else size(one.get("size")),
            file_words(one),
        )
        for one in entries
    ]
    table, last = grid(("name", "size", "state"), rows), told.get("next")
    after = f"--after={shlex.quote(str(last))}"  # a name may begin with a dash
    more = [words(f"There is more: {by} ls {shlex.quote(path)} {after}")] if last is not None else []
    return stacked(table, *more, told=list(entries))


def plan_shown(plan: Told, by: str = _BY) -> Shown:
    """`%dms plan`."""
    told = words(f"{plan['path']}: {', '.join(plan_words(plan))}.", plan)
    if not plan.get("move_bytes"):
        return told
    fetch = f"{by} fetch {shlex.quote(plan['path'])}"
    return stacked(told, words(f"{fetch} moves {size(plan['move_bytes'])}."), told=plan)


def transfer_line(transfer: Told) -> str:
    """One line about a transfer."""
    return f"{transfer_name(transfer)}: {', '.join(transfer_words(transfer))}"


def transfer_shown(transfer: Told, by: str = _BY) -> Shown:
    """What `%dms fetch`, `cancel` and `resume` end with."""
    lines = [words(f"{transfer_line(transfer)}.")]
    if transfer.get("problem"):
        lines.append(words(message_of(transfer["problem"])))
    lines += [words(why(one["path"], one["problem"])) for one in (transfer.get("failed") or [])[:_STUCK_SHOWN]]
    if transfer["state"] in {"failed", "cancelled"}:
        lines.append(words(f"{by} resume {transfer['id']} goes on with it; what has come stays."))
    elif transfer["state"] in GOING:
        lines.append(words(f"{by} transfers tells how far it is; {by} cancel {transfer['id']} ends it."))
    return stacked(*lines, told=transfer)


def transfers_shown(transfers: Sequence[Told], by: str = _BY) -> Shown:
    """`%dms transfers`."""
    if not transfers:
        return words(f"No transfer. Begin one with {by} fetch.", [])
    rows = [
        (
            one["id"],
            short(transfer_name(one)),
            ", ".join(transfer_words(one)),
            moment(one.get("begun")),
            message_of(one.get("problem")),
        )
        for one in transfers
    ]
    return stacked(grid(("transfer", "of", "state", "begun", "why"), rows), told=list(transfers))


def history_shown(events: Sequence[Told]) -> Shown:
    """`%dms history`."""
    if not events:
        return words("Nothing happened yet.", [])
    rows = [
        (
            moment(one.get("at")),
            one["what"],
            one["path"],
            "" if one.get("bytes") is None else size(one["bytes"]),
            "" if one.get("seconds") is None else duration(one["seconds"]),
            message_of(one.get("problem")),
        )
        for one in events
    ]
    return stacked(grid(("when (UTC)", "what", "path", "size", "took", "why"), rows), told=list(events))


def mount_shown(told: Told, by: str = _BY) -> Shown:
    """`%dms mount` and `unmount`."""
    id = told["dataset"]
    if told.get("mounted"):
        return words(f"{id} is in the folder.", told)
    line = f"{id} has left the folder; what is open stays open. {by} mount {id} brings it back."
    unsent = told.get("unsent") or []
    return words(f"{line} {plural(len(unsent), 'unsent file')} of it still on the way." if unsent else line, told)


def notebooks_shown(told: Told) -> Shown:
    """`%dms notebooks`."""
    readers = [*told.get("notebooks", ()), *told.get("others", ())]
    if not readers:
        return words("Nobody has read any data yet.", told)
    rows = [
        (
            one.get("path") or one.get("name"),
            size(one["needed_bytes"]),
            size(one["moved_bytes"]),
            size(one["cached_bytes"]),
        )
        for one in readers
    ]
    return stacked(grid(("notebook", "needed", "moved", "from cache"), rows), told=told)


def flush_shown(unsent: Sequence[Told]) -> Shown:
    """`%dms flush`."""
    if not unsent:
        return words("Everything is at the archive.", [])
    rows = [
        (one["path"], one.get("state"), size(one.get("size_bytes")), message_of(one.get("problem"))) for one in unsent
    ]
    left = words(f"{plural(len(unsent), 'file')} not yet at the archive; sending goes on.")
    return stacked(grid(("file", "state", "size", "why"), rows), left, told=list(unsent))


def moment(at: Any) -> str:
    """A time of day with its date, in UTC."""
    return "" if not isinstance(at, int | float) else datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S")
