"""Where the day's data lies: the embedded archive, or Ceph started for it. The day asks both the same questions."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from day.archive_log import Asked, embedded_line, gateway_line
from jupyter_alc.core.written import as_yaml
from labs.ceph import Ceph
from labs.lab import alive_since

if TYPE_CHECKING:
    from collections.abc import Callable


class DayArchive(Protocol):
    """What the day needs of an archive."""

    def start(self) -> list[str]:
        """Start it and return the words that `alc up` is to be given."""
        ...

    def stop(self) -> list[str]:
        """End it and return what is left of it."""
        ...

    @property
    def places(self) -> list[str]:
        """Folders of the host where its data lies, which no machine may see."""
        ...

    def mark(self) -> int:
        """Say how far its log goes now."""
        ...

    def since(self, mark: int) -> list[Asked]:
        """Every request that was answered after `mark`."""
        ...

    def names_in(self, asked: Asked) -> int:
        """How many names this listing told."""
        ...

    def foreign_urls(self, at: str) -> list[str]:
        """Addresses below `at` that nobody reads without credentials."""
        ...

    def results(self, user: str) -> Path:
        """A folder with this person's results, as the archive has them now."""
        ...


@dataclass
class Embedded:
    """The WebDAV archive that `alc up` brings."""

    state: Path

    def start(self) -> list[str]:
        return []

    def stop(self) -> list[str]:
        return []

    @property
    def _results(self) -> Path:
        return self.state / "archive/results"

    @property
    def places(self) -> list[str]:
        return [str(self._results)]

    @property
    def _log(self) -> Path:
        return self.state / "archive/requests.log"

    def mark(self) -> int:
        return _size(self._log)

    def since(self, mark: int) -> list[Asked]:
        return _lines(self._log, mark, embedded_line)

    def names_in(self, asked: Asked) -> int:
        parts = [part for part in asked.path.split("/") if part]
        top = sans_folder() if parts[:1] == ["sans-examples"] else self._results
        place = top.joinpath(*parts[1:])
        return 1 + (sum(1 for _ in place.iterdir()) if place.is_dir() else 0)

    def foreign_urls(self, at: str) -> list[str]:
        return [f"{at}/results/ada/", f"{at}/sans-examples/", f"{at}/results/brahe/"]

    def results(self, user: str) -> Path:
        return self._results / user


@dataclass
class OnCeph:
    """Ceph's S3 in `place`, with the example's data, a folder of results for each person, and session keys for both."""

    place: Path
    bucket: str = "archive"
    lab: Ceph = field(init=False)

    def __post_init__(self) -> None:
        self.lab = Ceph(self.place / "lab")

    def start(self) -> list[str]:
        self.lab.up()
        self.lab.bucket(self.bucket)
        for path in _data_files():
            key = f"sans-examples/{path.relative_to(sans_folder()).as_posix()}"
            self.lab.client.put_object(Bucket=self.bucket, Key=key, Body=path.read_bytes())
        catalogue, credentials = self.place / "catalogue.yaml", self.place / "credentials.yaml"
        catalogue.write_text(as_yaml({"datasets": self._datasets()}))
        credentials.touch(mode=0o600)
        credentials.write_text(as_yaml({"ceph": {"*": {**self.lab.keys, "role": self.lab.role("people")}}}))
        at = self.lab.state["endpoint"].removeprefix("http://")
        return ["--archive", at, "--catalogue", str(catalogue), "--credentials", str(credentials)]

    def _datasets(self) -> list[dict[str, Any]]:
        at = f"?endpoint=http://{{archive}}&region={self.lab.state['region']}"
        common = {"adapter": "s3", "where": "Ceph S3 archive", "credentials": "ceph"}
        sans = {"id": "sans-examples", "title": "SANS examples", "published": True, "readers": ["*"]}
        size = sum(one.stat().st_size for one in _data_files())
        return [
            {**sans, "url": f"s3://{self.bucket}/sans-examples{at}", "size_bytes": size, **common},
            {
                "id": "results",
                "title": "My results",
                "description": "yours alone",
                "url": f"s3://{self.bucket}/results/{{user}}{at}",
                "writers": ["*"],
                **common,
            },
        ]

    def stop(self) -> list[str]:
        known = self.lab.processes
        self.lab.down()
        left = [f"{name} {pid}" for name, (pid, since) in known.items() if alive_since(pid) == since]
        return [*left, *([str(self.lab.place)] if self.lab.place.exists() else [])]

    @property
    def places(self) -> list[str]:
        return [str(self.place)]

    @property
    def _log(self) -> Path:
        return self.lab.place / "log/client.rgw.log"

    def mark(self) -> int:
        return _size(self._log)

    def since(self, mark: int) -> list[Asked]:
        told = _lines(self._log, mark, gateway_line)
        return [one for one in told if one.path.startswith(f"/{self.bucket}")]

    def names_in(self, asked: Asked) -> int:
        query = {"Bucket": self.bucket, "Prefix": asked.prefix, "Delimiter": "/"}
        told = self.lab.client.list_objects_v2(**query)
        return 1 + len(told.get("Contents", [])) + len(told.get("CommonPrefixes", []))

    def foreign_urls(self, at: str) -> list[str]:
        names = ("results/ada/any", "sans-examples/any", "?list-type=2&prefix=results/ada/")
        return [f"{at}/{self.bucket}/{name}" for name in names]

    def results(self, user: str) -> Path:
        """A copy, made anew."""
        top, prefix = self.place / "results" / user, f"results/{user}/"
        shutil.rmtree(top, ignore_errors=True)
        top.mkdir(parents=True)
        pages = self.lab.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix)
        for key in [one["Key"] for page in pages for one in page.get("Contents", [])]:
            place = top / key.removeprefix(prefix)
            place.parent.mkdir(parents=True, exist_ok=True)
            if key.endswith("/"):
                place.mkdir(exist_ok=True)
            else:
                place.write_bytes(self.lab.client.get_object(Bucket=self.bucket, Key=key)["Body"].read())
        return top


def sans_folder() -> Path:
    """Where the example's data lies on this computer."""
    return Path(str(files("sasdata") / "example_data"))


def _data_files() -> list[Path]:
    found = sorted(one for one in sans_folder().rglob("*") if one.is_file())
    return [one for one in found if one.suffix not in {".py", ".pyc"}]


def _size(log: Path) -> int:
    return log.stat().st_size if log.exists() else 0


def _lines(log: Path, mark: int, read: Callable[[str], Asked | None]) -> list[Asked]:
    if not log.exists():
        return []
    with log.open("rb") as file:
        file.seek(mark)
        whole = [line.decode(errors="replace") for line in file if line.endswith(b"\n")]
    return [one for one in map(read, whole) if one is not None]
