"""How datasets, files, plans and transfers are told: the panel's own words are held equal to these by a test. Pure."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from jupyter_alc.core.sizes import size
from jupyter_alc.magics.words import duration, part_of, plural

if TYPE_CHECKING:
    from collections.abc import Mapping

    Told = Mapping[str, Any]


def dataset_words(dataset: Told) -> str:
    """A dataset's state."""
    if dataset.get("mounted") is False:
        return "not in the folder"
    if dataset.get("state") == "unreachable":
        return "out of reach"
    if files := int(dataset.get("unsent_files") or 0):
        return f"{plural(files, 'file')} unsent"
    return "read only" if dataset.get("access") == "read" else "all sent"


def sending_words(dataset: Told) -> str:
    """The state, and how far its unsent files are."""
    state = dataset_words(dataset)
    if now := dataset.get("sending"):
        return f"{state}, sending {PurePosixPath(now['path']).name}, {part_of(now['sent_bytes'], now['size_bytes'])}"
    unsent = dataset.get("unsent_files") and f"{size(dataset.get('unsent_bytes'))} not in the archive yet"
    return f"{state}, {unsent}" if unsent else state


def file_words(entry: Told) -> str:
    """Where a file's bytes are; nothing for a folder."""
    state = str(entry.get("state") or "")
    if state == "folder":
        return ""
    return f"partly, {part_of(entry.get('cached_bytes'), entry.get('size'))}" if state == "partly" else state


def name_words(entry: Told) -> str:
    """A name of a folder; in a view with where it leads."""
    name = f"{entry['name']}/" if entry["type"] == "directory" else str(entry["name"])
    return f"{name} -> {entry['target']}" if entry.get("target") else name


def plan_words(plan: Told) -> list[str]:
    """What fetching would mean: files, size, what is here already, requests, time."""
    files, whole, here = int(plan["files"]), int(plan["size_bytes"]), int(plan["cached_bytes"])
    told = [plural(files, "file"), size(whole)]
    if here >= whole:
        return [*told, "all here already"]
    told += [f"{size(here)} here already"] if here else []
    seconds = plan.get("seconds")
    time = "time not known yet" if seconds is None else "about " + duration(max(1.0, float(seconds)))
    return [*told, plural(int(plan["requests"]), "request"), time]


def transfer_name(transfer: Told) -> str:
    """What a transfer brings."""
    paths = list(transfer.get("paths") or [])
    more = len(paths) - 1
    return f"{paths[0]} and {more} more" if more > 0 else str(paths[0]) if paths else str(transfer.get("id"))


def transfer_words(transfer: Told) -> list[str]:
    """How far a transfer is: state, bytes, speed, time left; what could not be brought."""
    state, done, whole = str(transfer["state"]), int(transfer["done_bytes"]), int(transfer["size_bytes"])
    told = [f"{state}, {part_of(done, whole)}" if whole and state != "done" else state]
    if state == "done":
        told = [f"done, {size(whole)}", f"{size(transfer.get('moved_bytes'))} moved"]
    elif state == "moving":
        told += [f"{size(transfer['bytes_per_second'])}/s"] if transfer.get("bytes_per_second") else []
        left = transfer.get("seconds_left")
        told += [] if left is None else [f"{duration(float(left))} left"]
    elif state == "waiting":
        told.append("goes on by itself")
    if failed := int(transfer.get("failed_files") or 0):
        told.append(f"{plural(failed, 'file')} failed")
    return told
