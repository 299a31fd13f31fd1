"""The example archive's accounts, its two datasets, and what the Hub needs to know of them."""

from __future__ import annotations

import json
import secrets
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from jupyter_alc.core.errors import BadFile
from jupyter_alc.core.written import as_yaml
from jupyter_alc.dms.catalogue import Catalogue, read_credentials

if TYPE_CHECKING:
    from collections.abc import Iterable

CREDENTIALS: Final = "example-archive"


def available() -> bool:
    """Say whether the example's data and its server are installed."""
    return all(find_spec(name) is not None for name in ("sasdata", "wsgidav", "cheroot"))


def accounts(path: Path, people: Iterable[str]) -> dict[str, str]:
    """The archive's own passwords, one for each person and never that person's to see; known ones stay."""
    known: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
    return {name: known.get(name) or secrets.token_urlsafe(24) for name in people}


def data_bytes() -> int | None:
    """The size of sasdata's example data as the archive shows it; None without the package."""
    found = find_spec("sasdata")
    if found is None or found.origin is None:
        return None
    folder = Path(found.origin).parent / "example_data"
    files = (one for one in folder.rglob("*") if one.is_file())
    return sum(one.stat().st_size for one in files if one.suffix not in {".py", ".pyc"})


def datasets(url: str) -> list[dict[str, Any]]:
    """The two datasets of the archive at `url`, as a catalogue writes them."""
    common = {"adapter": "webdav", "where": "WebDAV archive", "credentials": CREDENTIALS}
    sans: dict[str, Any] = {
        "id": "sans-examples",
        "title": "SANS examples",
        "description": "small-angle scattering from ISIS, Diamond, NIST and others",
        "url": f"{url}/sans-examples",
        "readers": ["*"],
        "published": True,
        **common,
    }
    size = data_bytes()
    results: dict[str, Any] = {
        "id": "results",
        "title": "My results",
        "description": "yours alone",
        "url": f"{url}/results/{{user}}",
        "writers": ["*"],
        **common,
    }
    return [{**sans, "size_bytes": size} if size is not None else sans, results]


def catalogue_text(given: Path | None, example_url: str | None, archive: str = "") -> str:
    """The catalogue the Hub reads: the operator's datasets, then the example's. Raises `BadFile` for a mistake.

    `archive` is the host and port that `{archive}` stands for in the addresses of the operator's datasets.
    """
    listed: list[dict[str, Any]] = []
    if given is not None:
        listed += [one.as_written() for one in Catalogue.from_file(given).all()]
        listed = [{**one, "url": one["url"].replace("{archive}", archive)} if archive else one for one in listed]
    if example_url is not None:
        known = {one["id"] for one in listed}
        listed += [one for one in datasets(example_url) if one["id"] not in known]
    return as_yaml({"datasets": listed})


def check_credentials(catalogue: Path | None, credentials: Path | None) -> None:
    """Refuse a dataset whose archive would ask for credentials that nobody wrote down. Raises `BadFile`."""
    if catalogue is None:
        return
    known = {CREDENTIALS, *(read_credentials(credentials) if credentials is not None else ())}
    for one in Catalogue.from_file(catalogue).all():
        if one.credentials and one.credentials not in known:
            raise BadFile(
                f"{catalogue}: the dataset {one.id} names credentials {one.credentials[:60]!r}, which are not given.",
                next_step="Write them into a file and give it with --credentials, or leave `credentials` out.",
            )


def credentials_text(given: Path | None, archive: dict[str, str]) -> str:
    """The credentials by archive and person: the operator's, and the example's. Raises `BadFile` for a mistake."""
    told: dict[str, Any] = dict(read_credentials(given)) if given is not None else {}
    if archive:
        told[CREDENTIALS] = {name: {"username": name, "password": word} for name, word in archive.items()}
    return as_yaml(told)
