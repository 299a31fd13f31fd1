"""What a dataset is, for every part that speaks of one."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar

from jupyter_alc.core.errors import BadInput
from jupyter_alc.core.names import LONGEST_DESCRIPTION, identifier, one_line
from jupyter_alc.core.views import MOST_VIEWS, View, views_from_json

if TYPE_CHECKING:
    from collections.abc import Mapping


class Access(StrEnum):
    """What a person may do with a dataset."""

    READ = "read"
    WRITE = "write"


class Pattern(StrEnum):
    """What comes to a machine without being read (T12)."""

    LAZY = "lazy"  # what a reader will most likely read next
    SIBLINGS = "siblings"  # also small files beside the first that is opened
    MIRROR = "mirror"  # all of it, when the data service starts
    LIST = "list"  # no small file unasked: people fetch by list


@dataclass(frozen=True, slots=True)
class Transfer:
    """How a facility wants a dataset to move. None leaves a number to the archive's adapter.

    `parallel` requests at once in all, readers' included; `files` and `connections` at once for one transfer;
    `bytes_per_second` for all transfers of the dataset together; `fetch_by_list`: people may begin transfers.
    """

    pattern: Pattern = Pattern.LAZY
    parallel: int | None = None
    files: int | None = None
    connections: int | None = None
    bytes_per_second: int | None = None
    fetch_by_list: bool = True

    MOST: ClassVar[Mapping[str, int]] = {
        "parallel": 256,
        "files": 1024,
        "connections": 256,
        "bytes_per_second": 10**12,
    }

    def __post_init__(self) -> None:
        for name, most in self.MOST.items():
            number = getattr(self, name)
            if number is not None and not 1 <= number <= most:
                raise BadInput(
                    f"{name} of a transfer is not between 1 and {most}.",
                    next_step=f"Give a number from 1 to {most}, or leave {name} out.",
                    field=name,
                )

    def as_json(self) -> dict[str, Any]:
        """The table of a catalogue's file: what was not given is left out."""
        told = {one.name: getattr(self, one.name) for one in fields(self) if getattr(self, one.name) != one.default}
        return {name: str(value) if isinstance(value, Pattern) else value for name, value in told.items()}

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> Transfer:
        """Read `as_json` back."""
        pattern = {"pattern": Pattern(told["pattern"])} if "pattern" in told else {}
        return cls(**{**told, **pattern})


@dataclass(frozen=True, slots=True)
class Dataset:
    """A named tree in an archive.

    `url` may hold `{user}`; `adapter` names an entry point of `jupyter_alc.adapters`, or `fsspec` for the basic level.
    `readers` and `writers` are user names or `*` for everybody; a writer may read.
    `size_bytes` is None where nobody knows.
    """

    id: str
    title: str
    adapter: str
    url: str
    description: str = ""
    where: str = ""
    readers: frozenset[str] = frozenset({"*"})
    writers: frozenset[str] = frozenset()
    size_bytes: int | None = None
    published: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)
    credentials: str = ""
    transfer: Transfer = field(default_factory=Transfer)
    views: tuple[View, ...] = ()

    def __post_init__(self) -> None:
        identifier(self.id, "dataset id")
        for name in ("title", "url", "adapter"):
            if not getattr(self, name).strip():
                raise BadInput(f"the {name} of dataset {self.id} is empty.", next_step=f"Give it a {name}.", field=name)
        one_line(self.title, "title")
        one_line(self.where, "where")
        one_line(self.description, "description", LONGEST_DESCRIPTION)
        for text in (*self.labels, *self.labels.values()):
            one_line(text, "labels")
        if self.size_bytes is not None and self.size_bytes < 0:
            raise BadInput(
                f"dataset {self.id} has a negative size.", next_step="Give bytes, or leave it out.", field="size_bytes"
            )
        if len(self.views) > MOST_VIEWS:
            raise BadInput(
                f"dataset {self.id} has more than {MOST_VIEWS} views.", next_step="Leave some out.", field="views"
            )

    def access_of(self, user: str) -> Access | None:
        """What `user` may do here; None when it is not theirs to see."""
        if self.writers & {user, "*"}:
            return Access.WRITE
        return Access.READ if self.readers & {user, "*"} else None

    def as_written(self) -> dict[str, Any]:
        """The table that a catalogue's file has for it."""
        told = {one.name: getattr(self, one.name) for one in fields(self)}
        told |= {"readers": sorted(self.readers), "writers": sorted(self.writers), "labels": dict(self.labels)}
        return told | {"transfer": self.transfer.as_json(), "views": _written(self.views)}


@dataclass(frozen=True, slots=True)
class MountedDataset:
    """A dataset as one person's machine gets it: address filled in, credentials scoped to this person.

    `credentials` is a secret; `repr` does not show it.
    """

    id: str
    title: str
    adapter: str
    url: str
    access: Access
    where: str = ""
    size_bytes: int | None = None
    published: bool = False
    credentials: Mapping[str, str] = field(default_factory=dict, repr=False)
    transfer: Transfer = field(default_factory=Transfer)
    views: tuple[View, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The form that travels to the machine; it holds the credentials, so it goes over private channels only."""
        return {
            "id": self.id,
            "title": self.title,
            "adapter": self.adapter,
            "url": self.url,
            "access": str(self.access),
            "where": self.where,
            "size_bytes": self.size_bytes,
            "published": self.published,
            "credentials": dict(self.credentials),
            "transfer": self.transfer.as_json(),
            "views": _written(self.views),
        }

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> MountedDataset:
        """Read `as_json` back."""
        given = {
            "access": Access(told["access"]),
            "transfer": Transfer.from_json(told.get("transfer") or {}),
            "views": views_from_json(told.get("views") or {}),
        }
        return cls(**{**told, **given})


def _written(views: tuple[View, ...]) -> dict[str, dict[str, str]]:
    return {one.name: one.as_json() for one in views}
