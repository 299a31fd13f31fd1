"""What a dataset is, for every part that speaks of one."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from jupyter_alc.core.errors import BadInput
from jupyter_alc.core.names import LONGEST_DESCRIPTION, identifier, one_line

if TYPE_CHECKING:
    from collections.abc import Mapping


class Access(StrEnum):
    """What a person may do with a dataset."""

    READ = "read"
    WRITE = "write"


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

    def access_of(self, user: str) -> Access | None:
        """What `user` may do here; None when it is not theirs to see."""
        if self.writers & {user, "*"}:
            return Access.WRITE
        return Access.READ if self.readers & {user, "*"} else None

    def as_written(self) -> dict[str, Any]:
        """The table that a catalogue's file has for it."""
        told = {one.name: getattr(self, one.name) for one in fields(self)}
        return {**told, "readers": sorted(self.readers), "writers": sorted(self.writers), "labels": dict(self.labels)}


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
        }

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> MountedDataset:
        """Read `as_json` back."""
        return cls(**{**told, "access": Access(told["access"])})
